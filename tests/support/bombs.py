"""Small files that describe far more work than they have bytes, written box by box."""

import zlib
from collections.abc import Sequence

from tests.support.clips import clip_bytes, jpeg_bytes

TICKS = 1000
DURATION = 40


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def box(kind: bytes, *parts: bytes) -> bytes:
    payload = b"".join(parts)
    return u32(len(payload) + 8) + kind + payload


def full_box(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return box(kind, u32(flags), *parts)


def movie(
    *,
    samples: int = 1,
    listed: bool = True,
    size: tuple[int, int] = (64, 48),
    edits: int = 0,
    tracks: int = 1,
    in_table: Sequence[bytes] = (),
    in_movie: Sequence[bytes] = (),
) -> bytes:
    """Return a QuickTime movie whose samples are all the same JPEG.

    Samples that are not `listed` share one size. Each of the `edits` covers the whole track.
    `in_table` are further boxes of each sample table, `in_movie` of the movie.
    """
    picture = jpeg_bytes(*size)
    head = box(b"ftyp", b"qt  ", u32(512), b"qt  ")

    def header(offset: int) -> bytes:
        each = _track(picture, samples, listed, size, edits, offset, in_table)
        clock = full_box(b"mvhd", bytes(8), u32(TICKS), u32(samples * DURATION), bytes(80))
        return box(b"moov", clock, *[each] * tracks, *in_movie)

    offset = len(head) + len(header(0)) + 8
    return head + header(offset) + box(b"mdat", picture)


def _track(
    picture: bytes,
    samples: int,
    listed: bool,
    size: tuple[int, int],
    edits: int,
    offset: int,
    in_table: Sequence[bytes],
) -> bytes:
    ticks = u32(samples * DURATION)
    sides = b"".join(side.to_bytes(2, "big") for side in size)
    entry = box(
        b"jpeg",
        bytes(6) + b"\0\1" + bytes(16),
        sides + u32(0x480000) * 2 + bytes(4) + b"\0\1" + bytes(32) + b"\0\x18\xff\xff",
    )
    lengths = u32(0) + u32(samples) + u32(len(picture)) * samples
    shared = u32(len(picture)) + u32(samples)
    chunks = samples if listed else 1
    table = box(
        b"stbl",
        full_box(b"stsd", u32(1), entry),
        full_box(b"stts", u32(1), u32(samples), u32(DURATION)),
        full_box(b"stsc", u32(1), u32(1), u32(samples // chunks), u32(1)),
        full_box(b"stsz", lengths if listed else shared),
        full_box(b"stco", u32(chunks), u32(offset) * chunks),
        *in_table,
    )
    edit = ticks + u32(0) + u32(0x10000)
    return box(
        b"trak",
        full_box(b"tkhd", bytes(8), u32(1), bytes(4), ticks, bytes(60), flags=3),
        box(b"edts", full_box(b"elst", u32(edits), edit * edits)) if edits else b"",
        box(
            b"mdia",
            full_box(b"mdhd", bytes(8), u32(TICKS), ticks, bytes(4)),
            full_box(b"hdlr", bytes(4), b"vide", bytes(13)),
            box(b"minf", full_box(b"vmhd", bytes(8)), table),
        ),
    )


def key_systems(count: int) -> bytes:
    return full_box(b"pssh", bytes(range(16)), u32(0)) * count


def movie_tags(count: int) -> bytes:
    keys = [box(b"mdta", b"k%07d" % index) for index in range(count)]
    values = [box(u32(index + 1), box(b"data", u32(1), u32(0), b"v")) for index in range(count)]
    handler = full_box(b"hdlr", bytes(4), b"mdta", bytes(13))
    return box(b"meta", handler, full_box(b"keys", u32(count), *keys), box(b"ilst", *values))


def compressed_movie(inflated: int) -> bytes:
    packed = zlib.compress(box(b"free", bytes(inflated)))
    payload = box(b"cmvd", u32(inflated + 8), packed)
    head = box(b"ftyp", b"qt  ", u32(512), b"qt  ")
    return head + box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), payload))


def fragment(samples: int) -> bytes:
    track = box(b"traf", full_box(b"tfhd", u32(1), flags=0x20000), full_box(b"trun", u32(samples)))
    return box(b"moof", full_box(b"mfhd", u32(1)), track)


def fragment_index(entries: int) -> bytes:
    head = bytes(4) + u32(1) + u32(TICKS) + bytes(8) + bytes(2)
    return box(b"sidx", head, entries.to_bytes(2, "big"), bytes(12 * entries))


def element(kind: str, *parts: bytes) -> bytes:
    """Return a Matroska element; `kind` is its number in hex."""
    payload = b"".join(parts)
    return bytes.fromhex(kind) + (len(payload) | 1 << 56).to_bytes(8, "big") + payload


def endless_element(kind: str, *parts: bytes) -> bytes:
    """Return an element without a size: it ends with its parent."""
    return bytes.fromhex(kind) + b"\x01" + b"\xff" * 7 + b"".join(parts)


def matroska(*lists: bytes, tracks: int = 1, in_track: bytes = b"") -> bytes:
    """Return a file of one JPEG per track with further lists of the segment."""
    size = element("e0", element("b0", b"\x40"), element("ba", b"\x30"))
    entries = [
        element(
            "ae",
            element("d7", bytes([index + 1])),
            element("73c5", bytes([index + 1])),
            element("83", b"\1"),
            element("86", b"V_MJPEG"),
            size,
            in_track,
        )
        for index in range(tracks)
    ]
    head = element("1a45dfa3", element("4282", b"matroska"), element("4287", b"\4"))
    block = element("a3", b"\x81\0\0\x80", jpeg_bytes(64, 48))
    cluster = element("1f43b675", element("e7", b"\0"), block)
    return head + element("18538067", element("1654ae6b", *entries), *lists, cluster)


def matroska_tags(count: int) -> bytes:
    tags = [
        element("67c8", element("45a3", b"k%06d" % index), element("4487", b"v"))
        for index in range(count)
    ]
    return element("1254c367", element("7373", *tags))


def matroska_chapters(count: int) -> bytes:
    chapter = element("b6", element("73c4", b"\1"), element("91", b"\0"))
    return element("1043a770", element("45b9", chapter * count))


def matroska_attachments(count: int) -> bytes:
    attachment = element("61a7", element("466e", b"a.ttf"), element("465c", b"x"))
    return element("1941a469", attachment * count)


def matroska_cues(count: int) -> bytes:
    points = [
        element("bb", element("b3", u32(count - index)), element("b7", element("f7", b"\1")))
        for index in range(count)
    ]
    return element("1c53bb6b", *points)


# Blocks of the track are compressed with zlib.
COMPRESSED = element("6d80", element("6240", element("5034", element("4254", b"\0"))))


def transport_packet(stream: int, payload: bytes) -> bytes:
    head = b"\x47" + (0x4000 | stream).to_bytes(2, "big") + b"\x10"
    return (head + payload).ljust(188, b"\xff")


def transport_of_streams(count: int) -> bytes:
    frame = b"\0\0\1\xe0\0\0\x80\x80\5\x21\0\1\0\1" + bytes(30)
    return b"".join(transport_packet(0x100 + index, frame) for index in range(count))


def transport_of_programs(count: int) -> bytes:
    """Return many program association tables, each of 40 programs."""
    packets = []
    for table in range(count // 40):
        programs = b"".join(
            (table * 40 + index + 1).to_bytes(2, "big") + b"\xe0\x20" for index in range(40)
        )
        length = (0xB000 | len(programs) + 9).to_bytes(2, "big")
        packets.append(b"\0\0" + length + b"\0\1\xc1\0\0" + programs + bytes(4))
    return b"".join(transport_packet(0, packet) for packet in packets)


def avi_of_indexes(count: int, entries: int) -> bytes:
    """Return an AVI whose `count` indexes are all the same one of `entries` frames."""
    data = clip_bytes(container="avi", codec="mpeg4")
    at = data.index(b"strf")
    index = len(data) + 24 + 16 * count + 8
    listed = index.to_bytes(8, "little") + u32(0) + u32(0)
    head = b"\4\0\0\0" + count.to_bytes(4, "little") + b"00dc" + bytes(12)
    payload = head + listed * count
    chunk = b"indx" + len(payload).to_bytes(4, "little") + payload
    inner = b"ix00" + bytes(4) + b"\2\0\0\1" + entries.to_bytes(4, "little") + bytes(16)
    lists = data.index(b"LIST", data.index(b"LIST") + 1)
    grown = len(chunk)

    def enlarged(part: bytes, where: int) -> bytes:
        size = int.from_bytes(part[where + 4 : where + 8], "little") + grown
        return part[: where + 4] + size.to_bytes(4, "little") + part[where + 8 :]

    data = enlarged(enlarged(enlarged(data, lists), data.index(b"LIST")), 0)
    return data[:at] + chunk + data[at:] + inner


def flv_of_names(count: int) -> bytes:
    """Return an FLV whose script names `count` values."""
    members = b"".join(b"\0\x08k%07d\0" % index + bytes(8) for index in range(count))
    script = b"\x02\0\x0aonMetaData\x08" + u32(count) + members + b"\0\0\x09"
    tag = b"\x12" + len(script).to_bytes(3, "big") + bytes(7) + script + u32(len(script) + 11)
    clip = clip_bytes(codec="flv", container="flv")
    return clip[:13] + tag + clip[13:]


def asf_of_tags(count: int) -> bytes:
    clip = clip_bytes(codec="wmv2", container="asf")
    head = bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850")
    return clip[:30] + head + (26).to_bytes(8, "little") + count.to_bytes(2, "little") + clip[30:]
