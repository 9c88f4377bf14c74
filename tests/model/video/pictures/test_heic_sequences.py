"""HEIC sequences are videos; a HEIC with one picture is a picture, with or without a track.

No library here writes HEIC sequences: the file is H.265 in MP4, whose boxes are made those of
ISO/IEC 23008-12, with the first picture as an item for readers that show no sequences.
"""

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

import av
import pytest
from av.video.stream import VideoStream

from model.errors import StillPicture
from model.video.reader import decode, probe
from tests.support.clips import picture, read_number

WIDTH, HEIGHT = 128, 96
# Milliseconds.
DELAYS = [100, 200, 100, 300, 100, 200]
BRANDS = [b"hevc", b"msf1", b"heic", b"mif1"]


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full_box(kind: bytes, version: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24), *parts)


def hevc_in_mp4(delays: Sequence[int]) -> tuple[bytes, int]:
    """Return the file and the number of bytes of its first frame."""
    buffer = io.BytesIO()
    options = {"x265-params": "log-level=none:bframes=0"}
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("libx265", rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        packets = []
        for number, start in enumerate(accumulate(delays[:-1], initial=0)):
            frame = av.VideoFrame.from_ndarray(picture("blue", WIDTH, HEIGHT, number), "rgb24")
            frame.pts, frame.time_base = start, Fraction(1, 1000)
            packets += stream.encode(frame)
        packets += stream.encode()
        first_bytes = packets[0].size
        for packet, delay in zip(packets, delays, strict=True):
            packet.duration = delay
            output.mux(packet)
    return buffer.getvalue(), first_bytes


def top_boxes(data: bytes) -> dict[bytes, bytes]:
    found, position = {}, 0
    while position < len(data):
        size, kind = struct.unpack(">I4s", data[position : position + 8])
        found[kind] = data[position : position + size]
        position += size
    return found


def item(first_bytes: int, offset: int, configuration: bytes) -> bytes:
    """Return the `meta` box of one picture, whose bytes are at `offset`."""
    return full_box(
        b"meta",
        0,
        full_box(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
        full_box(b"pitm", 0, b"\0\1"),
        full_box(b"iloc", 0, b"\x44\0", struct.pack(">HHHHII", 1, 1, 0, 1, offset, first_bytes)),
        full_box(b"iinf", 0, b"\0\1", full_box(b"infe", 2, b"\0\1\0\0hvc1\0")),
        box(
            b"iprp",
            box(b"ipco", configuration, full_box(b"ispe", 0, struct.pack(">II", WIDTH, HEIGHT))),
            full_box(b"ipma", 0, struct.pack(">IHBBB", 1, 1, 2, 0x81, 2)),
        ),
    )


def heic(brand: bytes, delays: Sequence[int], *, has_track: bool = True) -> bytes:
    """Numbered pictures as a HEIC sequence."""
    data, first_bytes = hevc_in_mp4(delays)
    boxes = top_boxes(data)
    moov, mdat = boxes[b"moov"].replace(b"vide", b"pict", 1), boxes[b"mdat"]
    start = moov.index(b"hvcC") - 4
    configuration = moov[start : start + struct.unpack_from(">I", moov, start)[0]]
    ftyp = box(b"ftyp", brand, bytes(4), b"mif1msf1heichevc")
    offset = len(ftyp) + len(item(0, 0, configuration)) + 8
    chunks = moov.index(b"stco") + 8
    assert struct.unpack_from(">I", moov, chunks) == (1,)
    moov = moov[: chunks + 4] + struct.pack(">I", offset) + moov[chunks + 8 :]
    meta = item(first_bytes, offset, configuration)
    return ftyp + meta + mdat + (moov if has_track else b"")


@pytest.mark.parametrize("brand", BRANDS)
def test_a_heic_sequence_is_a_video_with_the_delays_of_its_pictures(brand: bytes) -> None:
    data = heic(brand, DELAYS)

    info = probe(io.BytesIO(data))
    batch = decode(io.BytesIO(data), [0.05, 0.15, 0.25, 0.35, 0.5, 0.65, 0.75, 0.95], short_side=48)

    assert info.duration_seconds == pytest.approx(1.0, abs=0.001)
    assert info.frames_per_second == pytest.approx(6, rel=0.001)
    assert (info.width, info.height, info.codec) == (WIDTH, HEIGHT, "hevc")
    assert [read_number(frame) for frame in batch.frames] == [0, 1, 1, 2, 3, 3, 4, 5]


@pytest.mark.parametrize("has_track", [True, False])
@pytest.mark.parametrize("brand", BRANDS)
def test_a_heic_of_one_picture_is_refused_with_the_text_for_pictures(
    brand: bytes, has_track: bool
) -> None:
    with pytest.raises(StillPicture, match="make a video of it: ffmpeg"):
        probe(io.BytesIO(heic(brand, [100], has_track=has_track)))
