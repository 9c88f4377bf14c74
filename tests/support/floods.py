"""Files of less than a megabyte with very many parts, or parts that are very large once decoded.

`FLOODS` makes each of them: pictures, containers with lists that hide others, streams of parameter
sets, frames without a size, and frames of a size that nothing in the file pays for.
"""

import io
import zlib
from collections.abc import Callable, Mapping

from PIL import Image

from tests.support.bombs import (
    avi_of_indexes,
    box,
    element,
    flv_of_names,
    fragment,
    full_box,
    matroska,
    matroska_tags,
    movie,
    movie_tags,
    transport_packet,
    u32,
)
from tests.support.clips import clip_bytes, jpeg_bytes

_LARGE = 6_100  # squared: as many pixels as a frame may have


def _le(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")


def gif(side: int, *, frames: int = 3, disposal: int = 0, extensions: int = 0) -> bytes:
    """A GIF of frames of one pixel on a canvas of any size, behind empty comments."""
    control = b"\x21\xf9\4" + bytes([disposal << 2]) + _le(4, 2) + bytes(2)
    frame = control + b"\x2c" + bytes(4) + _le(1, 2) * 2 + b"\0\2\2\x44\1\0"
    head = b"GIF89a" + _le(side, 2) * 2 + b"\x80\0\0" + bytes(3) + b"\xff" * 3
    return head + b"\x21\xfe\0" * extensions + frame * frames + b";"


def gif_of_large_frames(frames: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("P", (3_840, 2_160)).save(buffer, "GIF")
    data = buffer.getvalue()
    start = data.index(b"\x2c")
    return data[:start] + (b"\x21\xf9\4\0\4\0\0\0" + data[start:-1]) * frames + b";"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return u32(len(data)) + kind + data + u32(zlib.crc32(kind + data))


def apng(side: int, *, frames: int, depth: int = 8) -> bytes:
    """An APNG of frames of one pixel on a canvas of any size."""

    def control(number: int, size: int) -> bytes:
        return _chunk(b"fcTL", u32(number) + u32(size) * 2 + bytes(8) + b"\0\1\0\x19\2\0")

    def pixels(size: int) -> bytes:
        return zlib.compress(bytes((size * depth // 2 + 1) * size))

    head = _chunk(b"IHDR", u32(side) * 2 + bytes([depth, 6, 0, 0, 0]))
    parts = [head, _chunk(b"acTL", u32(frames) + u32(0))]
    parts += [control(0, side), _chunk(b"IDAT", pixels(side))]
    for number in range(1, 2 * frames - 1, 2):
        parts += [control(number, 1), _chunk(b"fdAT", u32(number + 1) + pixels(1))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + _chunk(b"IEND", b"")


def _riff_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + _le(len(data), 4) + data + bytes(len(data) % 2)


def _webp_picture(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, "WEBP", lossless=True, method=0, quality=0)
    return buffer.getvalue()[12:]


def webp(side: int, *, frames: int, frame_side: int = 1, data: bytes | None = None) -> bytes:
    """A WebP of equal frames on a canvas of any size."""
    picture = _webp_picture(frame_side) if data is None else data
    size = _le(frame_side - 1, 3) * 2
    frame = _riff_chunk(b"ANMF", bytes(6) + size + _le(40, 3) + b"\0" + picture)
    canvas = _riff_chunk(b"VP8X", b"\2\0\0\0" + _le(side - 1, 3) * 2)
    body = b"WEBP" + canvas + _riff_chunk(b"ANIM", bytes(6)) + frame * frames
    return b"RIFF" + _le(len(body), 4) + body


def boxes_before_a_movie(count: int) -> bytes:
    film = movie(samples=10, in_movie=[movie_tags(4_000)])
    return film[:20] + box(b"free") * count + film[20:]


def fragments(count: int, *, runs: int = 1, tracks: int = 1) -> bytes:
    head = full_box(b"tfhd", u32(1), flags=0x20000)
    track = box(b"traf", head, full_box(b"trun", u32(10)) * runs)
    return movie() + box(b"moof", full_box(b"mfhd", u32(1)), track * tracks) * count


def nested_boxes(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = u32(len(data) + 8) + b"moov" + data
    return box(b"ftyp", b"qt  ", u32(512), b"qt  ") + data


def table_claims(kind: bytes) -> bytes:
    """A movie with a table of more entries than there are atoms of the file."""
    claims = [full_box(kind, u32(count), bytes(64)) for count in (0xFFFFFFF0, 0x0FFFFFFF)]
    return movie(samples=10, in_table=claims)


def covers(count: int, picture: bytes) -> bytes:
    """A movie with cover pictures."""
    data = box(b"data", u32(13), u32(0), picture) * count
    handler = full_box(b"hdlr", bytes(4), b"mdir", bytes(13))
    list_of_covers = box(b"ilst", box(b"covr", data))
    return movie(samples=10, in_movie=[box(b"udta", full_box(b"meta", handler, list_of_covers))])


def jpeg_that_claims(side: int) -> bytes:
    data = jpeg_bytes(64, 48)
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + side.to_bytes(2, "big") * 2 + data[at + 4 :]


def voids_before_tags(count: int) -> bytes:
    return matroska(b"\xec\x80" * count, matroska_tags(4_000))


def voids_among_tags(count: int) -> bytes:
    tags = matroska_tags(4_000)[12:]
    return matroska(element("1254c367", b"\xec\x80" * count, tags))


def clusters_before_tags(count: int) -> bytes:
    cluster = element("1f43b675", element("e7", b"\0"))
    return matroska(cluster * count, matroska_tags(4_000))


def laced_frames(blocks: int, lacing: int, payload: bytes) -> bytes:
    """A Matroska file whose blocks hold 256 frames each."""
    block = element("a3", b"\x81\0\0" + bytes([0x80 | lacing]) + b"\xff" + payload)
    return matroska(element("1f43b675", element("e7", b"\0"), block * blocks))


def frames_without_bytes(count: int) -> bytes:
    data = clip_bytes(container="avi", codec="mpeg4")
    return data[: data.index(b"movi") + 4] + b"00dc\0\0\0\0" * count


def chunks_before_tags(count: int) -> bytes:
    data = clip_bytes(container="avi", codec="mpeg4")
    tags = b"".join(b"%04d\2\0\0\0v\0" % index for index in range(4_000))
    listed = _riff_chunk(b"LIST", b"INFO" + tags)
    return b"RIFF" + _le(900_000, 4) + b"AVI " + b"JUNK\0\0\0\0" * count + listed + data[12:]


def tags_before_a_script(count: int) -> bytes:
    data = flv_of_names(4_000)
    return data[:13] + (b"\x09" + bytes(10) + u32(11)) * count + data[13:]


def _ogg_checksum(page: bytes) -> int:
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value


def ogg_page(
    stream: int, number: int, payload: bytes, *, ends: bool = True, flags: int = 0
) -> bytes:
    """A page of one packet, which goes on in the next page unless it `ends`."""
    lengths = b"\xff" * (len(payload) // 255) + (bytes([len(payload) % 255]) if ends else b"")
    head = b"OggS\0" + bytes([flags]) + bytes(8) + _le(stream, 4) + _le(number, 4)
    rest = bytes([len(lengths)]) + lengths + payload
    return head + _le(_ogg_checksum(head + bytes(4) + rest), 4) + rest


def ogg_comments_over_pages(count: int) -> bytes:
    """A VP8 file whose comments begin at the end of one page and go on in others."""
    data = clip_bytes(codec="libvpx", container="ogg")
    stream = int.from_bytes(data[14:18], "little")
    first = 27 + data[26] + sum(data[27 : 27 + data[26]])
    comments = b"".join(b"\x08\0\0\0k%05d=v" % index for index in range(count))
    packet = b"OVP80\2 " + b"\x01\0\0\0x" + _le(count, 4) + comments
    # two bytes of the packet's mark are in a page of their own: it has a lacing value of 255
    filler = b"\0" * 253
    return (
        data[:first]
        + ogg_page(stream, 1, filler + packet[:2], ends=False)
        + ogg_page(stream, 2, packet[2:], flags=1)
        + data[first:]
    )


def ogg_of_streams(count: int) -> bytes:
    head = b"OVP80\1\1\0\0\x40\0\x30\0\0\1\0\0\1\0\0\0\x19\0\0\0\1"
    return b"".join(ogg_page(number, 0, head, flags=2) for number in range(count))


def transport_of_parameters(count: int) -> bytes:
    head = b"\0\0\1\xe0\0\0\x80\x80\5\x21\0\1\0\1"
    packet = transport_packet(0x100, head + b"\0\0\1\x68\xce\x38\x80" * 20)
    return clip_bytes(container="mpegts") + packet * count


def raw_stream(codec: str, unit: bytes, count: int) -> bytes:
    """A stream without a container in which one unit is repeated."""
    name = {"libx264": "h264", "libx265": "hevc"}[codec]
    return clip_bytes(codec=codec, container=name) + unit * count


def vp8_of_sizes(sides: list[int], count: int) -> bytes:
    """An IVF of keyframes of 50 bytes, each of another size."""
    frames = [
        b"\x10\2\0\x9d\1\x2a" + _le(sides[number % len(sides)], 2) * 2 + bytes(40)
        for number in range(count)
    ]
    head = b"DKIF\0\0\x20\0VP80" + _le(64, 2) + _le(48, 2) + _le(10, 4) + _le(1, 4)
    listed = [_le(len(frame), 4) + _le(at, 8) + frame for at, frame in enumerate(frames)]
    return head + _le(count, 4) + bytes(4) + b"".join(listed)


def asf_of_objects(count: int) -> bytes:
    data = clip_bytes(codec="wmv2", container="asf")
    padding = bytes.fromhex("74d40618dfca0945a4ba9aabcb96aae8") + _le(24, 8)
    return data[:30] + padding * count + data[30:]


def mxf_of_pieces(count: int) -> bytes:
    data = clip_bytes(codec="mpeg2video", container="mxf", fps=25)
    return data[:40_000] + (bytes.fromhex("060e2b34010101020301021001000000") + b"\0") * count


# Refused by a walker before FFmpeg reads them.
HIDDEN: Mapping[str, Callable[[], bytes]] = {
    "boxes before a movie": lambda: boxes_before_a_movie(50_000),
    "voids before tags": lambda: voids_before_tags(150_000),
    "few voids before tags": lambda: voids_before_tags(25_000),
    "voids among tags": lambda: voids_among_tags(25_000),
    "clusters before tags": lambda: clusters_before_tags(20_500),
    "chunks before tags": lambda: chunks_before_tags(25_000),
    "tags before a script": lambda: tags_before_a_script(5_000),
    "comments over several pages": lambda: ogg_comments_over_pages(4_000),
}
FLOODS: Mapping[str, Callable[[], bytes]] = {
    "GIF of 30,000 frames": lambda: gif(16, frames=30_000),
    "GIF, large canvas": lambda: gif(_LARGE, frames=30_000),
    "GIF, large canvas that is restored": lambda: gif(_LARGE, frames=30_000, disposal=3),
    "GIF of 65,535 squared": lambda: gif(65_535, frames=100),
    "GIF of 300,000 comments": lambda: gif(16, extensions=300_000),
    "GIF of large frames": lambda: gif_of_large_frames(60),
    "APNG of 10,000 frames": lambda: apng(16, frames=10_000),
    "APNG, large canvas": lambda: apng(_LARGE, frames=4_000),
    "APNG, large canvas of 16 bits": lambda: apng(_LARGE, frames=100, depth=16),
    "WebP of 14,000 frames": lambda: webp(16, frames=14_000),
    "WebP, large canvas": lambda: webp(_LARGE, frames=12_000),
    "WebP, large frames": lambda: webp(_LARGE, frames=200, frame_side=_LARGE),
    "WebP of empty frames": lambda: webp(16, frames=30_000, data=b""),
    "WebP of 120,000 chunks": lambda: webp(16, frames=2, data=b"VP8 \0\0\0\0" * 60_000),
    "900,000 samples": lambda: movie(samples=900_000, listed=False),
    "100,000 samples": lambda: movie(samples=100_000),
    "4K samples": lambda: movie(samples=30_000, size=(3_840, 2_160)),
    "8K samples": lambda: movie(samples=3_000, size=(7_680, 4_320)),
    "fragments": lambda: fragments(12_000),
    "runs of a fragment": lambda: fragments(1, runs=55_000),
    "tracks of a fragment": lambda: fragments(1, tracks=20_000),
    "samples of a fragment": lambda: movie() + fragment(900_000),
    "nested boxes": lambda: nested_boxes(20_000),
    "claims of stts": lambda: table_claims(b"stts"),
    "claims of sgpd": lambda: table_claims(b"sgpd"),
    "claims of senc": lambda: table_claims(b"senc"),
    "900 covers": lambda: covers(900, jpeg_bytes(64, 48)[:900]),
    "1,000 covers that claim a large size": lambda: covers(1_000, jpeg_that_claims(_LARGE)),
    "laced frames": lambda: laced_frames(3_600, 4, bytes(256)),
    "laced frames without bytes": lambda: laced_frames(60_000, 4, b""),
    "frames laced as in Xiph": lambda: laced_frames(3_600, 2, bytes(255)),
    "AVI frames without bytes": lambda: frames_without_bytes(120_000),
    "AVI index": lambda: avi_of_indexes(1, 200_000),
    "streams of an Ogg": lambda: ogg_of_streams(4_000),
    "parameter sets of a broadcast": lambda: transport_of_parameters(4_500),
    "H.264 delimiters": lambda: raw_stream("libx264", b"\0\0\1\x09\x10", 190_000),
    "H.264 parameter sets": lambda: raw_stream("libx264", b"\0\0\1\x68\xce\x38\x80", 135_000),
    "H.264 messages": lambda: raw_stream("libx264", b"\0\0\1\6\5\1\0\x80", 120_000),
    "HEVC delimiters": lambda: raw_stream("libx265", b"\0\0\1\x46\1\x50", 160_000),
    "VP8 frames of a large size": lambda: vp8_of_sizes([_LARGE], 12_000),
    "VP8 frames of two sizes": lambda: vp8_of_sizes([16, _LARGE], 12_000),
    "objects of an ASF": lambda: asf_of_objects(38_000),
    "pieces of an MXF": lambda: mxf_of_pieces(50_000),
}
