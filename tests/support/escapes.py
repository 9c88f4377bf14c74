"""Files that make some players open another file, or connect: playlists, references, redirects."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.bombs import DURATION, TICKS, box, element, full_box, movie, u32
from tests.support.clips import clip_bytes, jpeg_bytes


@dataclass(frozen=True, slots=True)
class Bait:
    """What an escape would reach: a video in a file, a TCP listener and a UDP listener."""

    file: Path
    tcp_port: int
    udp_port: int

    @property
    def addresses(self) -> Mapping[str, str]:
        """An address for each protocol of FFmpeg, by the protocol's name."""
        tcp, udp = f"127.0.0.1:{self.tcp_port}", f"127.0.0.1:{self.udp_port}"
        return {
            "file": f"file://{self.file}",
            "path": str(self.file),
            "http": f"http://{tcp}/x",
            "https": f"https://{tcp}/x",
            "tcp": f"tcp://{tcp}",
            "udp": f"udp://{udp}",
            "rtp": f"rtp://{udp}",
            "subfile": f"subfile,,start,0,end,0,,:{self.file}",
            "concat": f"concat:{self.file}|{self.file}",
            "concatf": f"concatf:{self.file}",
            "data": "data:video/mp4;base64,AAAA",
            "rtmp": f"rtmp://{tcp}/x",
            "rtsp": f"rtsp://{tcp}/x",
            "crypto": f"crypto:{self.file}",
            "async": f"async:file:{self.file}",
            "cache": f"cache:{self.file}",
            "gopher": f"gopher://{tcp}/",
            "ftp": f"ftp://{tcp}/",
            "unix": f"unix:{self.file}",
            "fd": "fd:3",
            "pipe": "pipe:3",
            "tee": f"tee:{self.file}",
        }


def _playlist(url: str, extra: str = "") -> bytes:
    lines = ("#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", extra, "#EXTINF:1.0,", url)
    return "\n".join([*filter(None, lines), "#EXT-X-ENDLIST", ""]).encode()


def _manifest(url: str) -> bytes:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'profiles="urn:mpeg:dash:profile:isoff-live:2011" mediaPresentationDuration="PT1S">'
        '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
        f"<BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ).encode()


def _redirect(url: str) -> bytes:
    """A QuickTime movie that names another one."""
    link = url.encode() + b"\0"
    reference = full_box(b"rdrf", b"url ", u32(len(link)), link)
    return box(b"moov", box(b"rmra", box(b"rmda", reference)))


def _alias(url: str) -> bytes:
    """A Macintosh alias record with the path in its tagged fields."""
    path = url.encode()[:200]
    padded = path + b"\0" * (len(path) % 2)
    fields = b"".join(kind + len(path).to_bytes(2, "big") + padded for kind in (b"\0\2", b"\0\x12"))
    head = bytes(4) + b"\0\x96\0\2\0\0\6volume" + bytes(21) + bytes(4) + b"H+" + bytes(6)
    name = b"\x0acanary.mp4".ljust(64, b"\0")
    return full_box(
        b"alis", head + name + bytes(16) + b"\0\1\0\1" + bytes(16) + fields + b"\xff\xff"
    )


def _referring(reference: bytes) -> bytes:
    """A movie whose samples are in another file."""
    data = box(b"dinf", full_box(b"dref", u32(1), reference))
    ticks = u32(10 * DURATION)
    entry = box(b"jpeg", bytes(6) + b"\0\1" + bytes(16), b"\0\x40\0\x30" + bytes(46))
    table = box(
        b"stbl",
        full_box(b"stsd", u32(1), entry),
        full_box(b"stts", u32(1), u32(10), u32(DURATION)),
        full_box(b"stsc", u32(1), u32(1), u32(1), u32(1)),
        full_box(b"stsz", u32(100), u32(10)),
        full_box(b"stco", u32(10), u32(0) * 10),
    )
    media = box(
        b"mdia",
        full_box(b"mdhd", bytes(8), u32(TICKS), ticks, bytes(4)),
        full_box(b"hdlr", bytes(4), b"vide", bytes(13)),
        box(b"minf", full_box(b"vmhd", bytes(8)), data, table),
    )
    header = full_box(b"tkhd", bytes(8), u32(1), bytes(4), ticks, bytes(60), flags=3)
    clock = full_box(b"mvhd", bytes(8), u32(TICKS), ticks, bytes(80))
    head = box(b"ftyp", b"qt  ", u32(512), b"qt  ")
    return head + box(b"moov", clock, box(b"trak", header, media))


def _linked_segments(url: str) -> bytes:
    """A Matroska file whose chapters are in a segment of another file."""
    number = bytes(range(16))
    names = [element(kind, url.encode()) for kind in ("7384", "3e83ab", "3e83bb", "3c83ab")]
    info = element("1549a966", *names, element("3eb923", number), element("3cb923", number))
    chapter = element("b6", element("73c4", b"\1"), element("91", b"\0"), element("6e67", number))
    edition = element("45b9", element("45dd", b"\1"), chapter)
    size = element("e0", element("b0", b"\x40"), element("ba", b"\x30"))
    track = element(
        "ae", element("d7", b"\1"), element("83", b"\1"), element("86", b"V_MJPEG"), size
    )
    block = element("a3", b"\x81\0\0\x80", jpeg_bytes(64, 48))
    cluster = element("1f43b675", element("e7", b"\0"), block)
    parts = (info, element("1654ae6b", track), element("1043a770", edition), cluster)
    return element("1a45dfa3", element("4282", b"matroska")) + element("18538067", *parts)


def _flash_redirect(url: str) -> bytes:
    link = url.encode()
    value = b"\0\3url\2" + len(link).to_bytes(2, "big") + link
    script = b"\2\0\x0aonMetaData\x08\0\0\0\1" + value + b"\0\0\x09"
    clip = clip_bytes(codec="flv", container="flv")
    tag = b"\x12" + len(script).to_bytes(3, "big") + bytes(7) + script + u32(len(script) + 11)
    return clip[:13] + tag + clip[13:]


_FORMS: Mapping[str, Callable[[str], bytes]] = {
    "ffconcat": lambda url: f"ffconcat version 1.0\nfile '{url}'\nduration 1\n".encode(),
    "playlist": _playlist,
    "playlist with a key": lambda url: _playlist(url, f'#EXT-X-KEY:METHOD=AES-128,URI="{url}"'),
    "playlist with a header": lambda url: _playlist(url, f'#EXT-X-MAP:URI="{url}"'),
    "master playlist": lambda url: f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}\n".encode(),
    "DASH": _manifest,
    "ASX": lambda url: f'<ASX version="3.0"><Entry><Ref href="{url}"/></Entry></ASX>'.encode(),
    "an address": lambda url: url.encode() + b"\n",
    "PLS": lambda url: f"[playlist]\nFile1={url}\nNumberOfEntries=1\n".encode(),
    "IMF": lambda url: (
        '<?xml version="1.0"?><CompositionPlaylist xmlns="urn:smpte:imf"><Id>urn:uuid:1</Id>'
        f"<x>{url}</x></CompositionPlaylist>"
    ).encode(),
    "CUE": lambda url: f'FILE "{url}" MP3\n TRACK 01 AUDIO\n INDEX 01 00:00:00\n'.encode(),
    "SVG": lambda url: (
        f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}" width="9"/></svg>'
    ).encode(),
    "AviSynth": lambda url: f'DirectShowSource("{url}")'.encode(),
    "lavfi": lambda url: f"movie={url}".encode(),
    "data reference": lambda url: _referring(full_box(b"url ", url.encode() + b"\0")),
    "alias": lambda url: _referring(_alias(url)),
    "redirect": lambda url: box(b"ftyp", b"qt  ", u32(512), b"qt  ") + _redirect(url),
    "movie with a redirect": lambda url: movie(samples=10) + _redirect(url),
    "linked segments": _linked_segments,
    "Flash redirect": _flash_redirect,
    "ASF script": lambda url: (
        clip_bytes(codec="wmv2", container="asf") + b"URLANDEXIT" + url.encode("utf-16-le")
    ),
    "AVI with a playlist": lambda url: (
        clip_bytes(codec="mpeg4", container="avi") + b"GAB2\0\2\0" + _playlist(url)
    ),
    "playlist behind ID3": lambda url: b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + _playlist(url),
    "playlist before a broadcast": lambda url: (
        _playlist(url).ljust(376, b"\xff") + clip_bytes(container="mpegts")
    ),
    "ffconcat in an MP4": lambda url: box(b"ftyp", b"isom", u32(0), _FORMS["ffconcat"](url)),
}


def escapes(bait: Bait) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each file."""
    for form, make in _FORMS.items():
        for protocol, url in bait.addresses.items():
            yield f"{form}, {protocol}", make(url)
    session = (
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {bait.udp_port}"
    )
    yield "SDP", f"{session} RTP/AVP 96\na=rtpmap:96 H264/90000\n".encode()
    yield "SDP of RTSP", f"{session}\na=control:rtsp://127.0.0.1:{bait.tcp_port}/\n".encode()
    yield "ImageMagick", f"push graphic-context\nimage over 0,0 0,0 '{bait.file}'\n".encode()
    yield "pattern of pictures", f"{bait.file.parent}/%03d.png".encode()
