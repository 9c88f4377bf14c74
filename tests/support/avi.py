"""Write AVI files whose frames are numbered in decoding order, as many programs do."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AviStream:
    """Frames of one codec: `frames` are their bytes and whether they are keyframes."""

    tag: bytes
    frames: Sequence[tuple[bytes, bool]]
    width: int
    height: int
    fps: int
    private: bytes = b""


# A frame of MPEG-4 part 2, in a stream of 25 frames/s, that says that it shows nothing new.
_NOTHING_NEW = b"\x00\x00\x01\xb6\x50\x4f"
_FRAME_START, _GROUP_START = b"\x00\x00\x01\xb6", b"\x00\x00\x01\xb3"
_PACKED = b"\x00\x00\x01\xb2DivX503b1393p"


def packed(frames: Sequence[tuple[bytes, bool]]) -> list[tuple[bytes, bool]]:
    """Pack the B-frames of MPEG-4 part 2 as DivX and Xvid do, so that there is no delay.

    The first B-frame behind a frame is in its packet, and a frame that shows nothing new takes the
    place of the last one.
    """
    (first, is_key), *others = frames
    at = first.index(_GROUP_START)
    made = [(first[:at] + _PACKED + first[at:], is_key)]
    group: list[tuple[bytes, bool]] = []
    for frame in [*others, None]:
        is_b_frame = frame is not None and frame[0][frame[0].index(_FRAME_START) + 4] >> 6 == 2
        if not is_b_frame and len(group) > 1:
            (main, is_key), (between, _), *rest = group
            made += [(main + between, is_key), *rest, (_NOTHING_NEW, False)]
        elif not is_b_frame:
            made += group
        group = [*group, frame] if is_b_frame and frame is not None else [frame] if frame else []
    return made


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _list(kind: bytes, *parts: bytes) -> bytes:
    return _chunk(b"LIST", kind + b"".join(parts))


def _stream_header(stream: AviStream) -> bytes:
    times = (1, stream.fps, 0, len(stream.frames), 1 << 20, 0xFFFFFFFF, 0)
    frame = (0, 0, stream.width, stream.height)
    header = struct.pack("<4s4sIHHIIIIIIII4h", b"vids", stream.tag, 0, 0, 0, 0, *times, *frame)
    picture = struct.pack(
        "<IiiHH4sIiiII", 40 + len(stream.private), stream.width, stream.height, 1, 24,
        stream.tag, stream.width * stream.height * 3, 0, 0, 0, 0,
    )  # fmt: skip
    return _list(b"strl", _chunk(b"strh", header), _chunk(b"strf", picture + stream.private))


def avi_bytes(*streams: AviStream) -> bytes:
    """Return an AVI with all frames of the first stream, then those of the next ones."""
    first = streams[0]
    main = struct.pack(
        "<14I", 1_000_000 // first.fps, 1 << 20, 0, 0x10, len(first.frames), 0, len(streams),
        1 << 20, first.width, first.height, 0, 0, 0, 0,
    )  # fmt: skip
    chunks, index, position = [], [], 4
    for number, stream in enumerate(streams):
        name = f"{number:02}dc".encode()
        for data, is_key in stream.frames:
            chunks.append(_chunk(name, data))
            index.append(struct.pack("<4sIII", name, 0x10 * is_key, position, len(data)))
            position += len(chunks[-1])
    headers = _list(b"hdrl", _chunk(b"avih", main), *map(_stream_header, streams))
    body = headers + _list(b"movi", *chunks) + _chunk(b"idx1", b"".join(index))
    return _chunk(b"RIFF", b"AVI " + body)
