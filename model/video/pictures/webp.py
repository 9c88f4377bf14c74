"""Read the frames of an animated WebP file, as its container specification describes them."""

from collections.abc import Iterator
from dataclasses import dataclass

from model.errors import CorruptVideo, PictureTooLarge, StillPicture, VideoTooLong
from model.video.cost import check_cost
from model.video.file_view import FileView
from model.video.values import VideoLimits

# Delays in milliseconds: browsers show frames of up to 10 ms for 100 ms.
_MAX_UNSHOWN, _SHOWN = 10, 100
_FRAME_HEADER = 16
_KEPT_CHUNKS = {b"ALPH", b"VP8 ", b"VP8L"}
_HAS_ALPHA = 0x10


@dataclass(frozen=True, slots=True)
class WebpFrame:
    """One frame: a rectangle of the canvas, drawn from `start_ms` (milliseconds) on.

    `position` and `size` are where its data lies in the file, in bytes. The rectangle is cleared
    before the next frame if it `is_cleared`.
    """

    start_ms: int
    x: int
    y: int
    width: int
    height: int
    position: int
    size: int
    is_blended: bool
    is_cleared: bool


@dataclass(frozen=True, slots=True)
class WebpFrames:
    """The size of the canvas in pixels, all frames, and when the last one ends."""

    width: int
    height: int
    frames: tuple[WebpFrame, ...]
    duration_ms: int


def is_webp(head: bytes) -> bool:
    """Whether a file that starts with these bytes is WebP."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def read_webp(view: FileView, limits: VideoLimits, still_text: str) -> WebpFrames:
    """Read where the frames are; nothing is decoded.

    Raises StillPicture, with `still_text`, for a picture of one frame, CorruptVideo,
    PictureTooLarge and VideoTooLong.
    """
    size: tuple[int, int] | None = None
    frames: list[WebpFrame] = []
    time = 0
    for kind, position, length in _chunks(view, 12, None):
        if kind == b"VP8X":
            view.seek(position + 4)
            data = view.read(6)
            size = _number(data[:3]) + 1, _number(data[3:]) + 1
            if size[0] * size[1] > limits.max_pixels:
                raise PictureTooLarge(
                    f"frames of {size[0]}x{size[1]} have more pixels than the limit of "
                    f"{limits.max_pixels}; scale the picture down"
                )
        elif kind == b"ANMF" and size is not None:
            view.seek(position)
            header = view.read(_FRAME_HEADER)
            if len(header) < _FRAME_HEADER:
                break
            frame, delay = _frame(header, time, position, length)
            if frame.x + frame.width > size[0] or frame.y + frame.height > size[1]:
                raise CorruptVideo("a frame of the picture is larger than the picture")
            frames.append(frame)
            time += delay
            if len(frames) > limits.max_walked_frames:
                raise VideoTooLong(f"the picture has more than {limits.max_walked_frames} frames")
    if size is None or len(frames) < 2:
        raise StillPicture(still_text)
    return WebpFrames(*size, tuple(frames), time)


def frame_file(view: FileView, frame: WebpFrame) -> bytes:
    """Return a frame as a WebP file of its own."""
    body = bytearray()
    for kind, position, length in _chunks(view, frame.position, frame.position + frame.size):
        if kind in _KEPT_CHUNKS:
            view.seek(position)
            data = view.read(length)
            body += kind + length.to_bytes(4, "little") + data + b"\0" * (length % 2)
    if body.startswith(b"ALPH"):
        size = (frame.width - 1).to_bytes(3, "little") + (frame.height - 1).to_bytes(3, "little")
        body[:0] = b"VP8X\x0a\0\0\0" + bytes([_HAS_ALPHA, 0, 0, 0]) + size
    return b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WEBP" + bytes(body)


def _frame(header: bytes, time: int, position: int, length: int) -> tuple[WebpFrame, int]:
    """Read a frame's header; return the frame, and for how many milliseconds."""
    if length < _FRAME_HEADER:
        raise CorruptVideo("a frame of the picture is shorter than its own header")
    x, y, width, height, delay = (_number(header[at : at + 3]) for at in range(0, 15, 3))
    frame = WebpFrame(
        start_ms=time,
        x=2 * x,
        y=2 * y,
        width=width + 1,
        height=height + 1,
        position=position + _FRAME_HEADER,
        size=length - _FRAME_HEADER,
        is_blended=not header[15] & 2,
        is_cleared=bool(header[15] & 1),
    )
    return frame, delay if delay > _MAX_UNSHOWN else _SHOWN


def _chunks(view: FileView, position: int, end: int | None) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type, the position of the data and its length of each chunk."""
    while end is None or position + 8 <= end:
        check_cost()
        view.seek(position)
        header = view.read(8)
        if len(header) < 8:
            return
        length = int.from_bytes(header[4:], "little")
        yield header[:4], position + 8, length
        position += 8 + length + length % 2


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
