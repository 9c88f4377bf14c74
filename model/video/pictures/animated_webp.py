"""Read an animated WebP as a video: FFmpeg decodes its frames, which are put together here."""

from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

import av
import numpy as np
from av.codec import CodecContext
from av.packet import Packet
from numpy.typing import ArrayLike, NDArray

from model.errors import CorruptVideo, VideoTooLong
from model.video.container import FOREIGN_ERRORS
from model.video.cost import check_cost, count_decoded
from model.video.file_view import FileView, file_size
from model.video.frame_scaler import FrameScaler, Rotation, on_white
from model.video.frames import DecodedFrame
from model.video.gpu_eligibility import Located
from model.video.pictures.webp import WebpFrame, WebpFrames, frame_file, read_webp
from model.video.recognition.truncation import early_end
from model.video.sampling import SamplingConfig, clip_timestamps
from model.video.values import FrameBatch, VideoInfo, VideoLimits, checked_times

_WHITE = 255
_BLOCK = 64
# Rows that are blended at once: the work needs several times their memory.
_ROWS = 128


class AnimatedWebp:
    """An open animated WebP; its methods are those of `model.video.reader.OpenVideo`.

    Transparent parts are shown on white. A frame that cannot be decoded leaves what is there.
    """

    def __init__(self, file: BinaryIO, limits: VideoLimits, still_text: str) -> None:
        """Read the file's frames. Raises a VideoError."""
        self.decoded_packets = 0
        self.rotation = Rotation()
        self._view = FileView(file)
        self._picture = read_webp(self._view, limits, still_text)
        warning = early_end(self._view, file_size(file), 0, self._picture.duration_ms / 1000, 0)
        self.info = _info(self._picture, limits, () if warning is None else (warning,))
        if self.info.duration_seconds > limits.max_duration_seconds:
            raise VideoTooLong(
                f"the picture lasts {self.info.duration_seconds:.1f} s, the limit is "
                f"{limits.max_duration_seconds:g} s"
            )

    def keyframe_before(self, seconds: float) -> float | None:
        """Return None: a frame may need all those before it."""
        del seconds
        return None

    def times(self, sampling: SamplingConfig) -> NDArray[np.float64]:
        """Choose times over the whole picture: float64 (clips, frames_per_clip), in seconds."""
        info = self.info
        return clip_timestamps(0.0, info.duration_seconds, info.frames_per_second, sampling)

    def decode(
        self,
        timestamps_seconds: ArrayLike,
        *,
        short_side: int,
        keyframes_only: bool = False,
        allocate: Callable[[tuple[int, ...]], NDArray[np.uint8]] | None = None,
    ) -> FrameBatch:
        """Decode as `OpenVideo.decode` does; there are no keyframes, and `keyframes_only` is moot.

        Raises CorruptVideo where no frame can be decoded.
        """
        del keyframes_only
        times = checked_times(timestamps_seconds, short_side)
        starts = np.array([frame.start_ms / 1000 for frame in self._picture.frames])
        shown = np.clip(np.searchsorted(starts, times + 1e-6, side="right") - 1, 0, None)
        scaler = FrameScaler(short_side, self.info.width, self.info.height, self.rotation)
        shape = (times.size, *scaler.shape)
        frames = allocate(shape) if allocate else np.empty(shape, np.uint8)
        for number, canvas in enumerate(self._canvases(int(shown.max()))):
            rows = np.flatnonzero(shown == number)
            if rows.size:
                frames[rows] = scaler.scale(
                    DecodedFrame(number, av.VideoFrame.from_ndarray(on_white(canvas), "rgb24"))
                )
        return FrameBatch(frames, starts[shown])

    def locate(self, timestamps_seconds: NDArray[np.float64], short_side: int) -> Located | None:
        """Return None: no GPU decodes pictures."""
        del timestamps_seconds, short_side
        return None

    def _canvases(self, last: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the canvas, uint8 (H, W, 4) RGBA, after each frame up to number `last`."""
        picture = self._picture
        canvas = np.zeros((picture.height, picture.width, 4), np.uint8)
        has_frame = False
        for frame in picture.frames[: last + 1]:
            check_cost()
            self.decoded_packets += 1
            count_decoded(frame.width * frame.height)
            pixels = _decode(frame_file(self._view, frame), frame)
            part = canvas[frame.y : frame.y + frame.height, frame.x : frame.x + frame.width]
            if pixels is not None:
                has_frame = True
                _draw(pixels, part, is_blended=frame.is_blended)
            if not has_frame and frame is picture.frames[last]:
                raise CorruptVideo("no frame of the picture can be decoded")
            yield canvas
            if frame.is_cleared:
                part[:] = 0


def _info(picture: WebpFrames, limits: VideoLimits, warnings: tuple[str, ...]) -> VideoInfo:
    seconds = picture.duration_ms / 1000
    rate = len(picture.frames) / seconds
    return VideoInfo(
        duration_seconds=seconds,
        frames_per_second=min(rate, limits.max_frames_per_second),
        width=picture.width,
        height=picture.height,
        rotation=0,
        codec="webp",
        warnings=warnings,
    )


def _decode(data: bytes, frame: WebpFrame) -> NDArray[np.uint8] | None:
    """Decode one frame to RGBA, (H, W, 4); None for a damaged one or one of another size."""
    context = CodecContext.create("webp", "r")
    context.thread_count = 1
    # the decoder works on whole blocks of pixels
    pixels = (frame.width + _BLOCK) * (frame.height + _BLOCK)
    context.options = {"max_pixels": str(pixels)}
    try:
        decoded = [*context.decode(Packet(data)), *context.decode(None)]
    except FOREIGN_ERRORS:
        return None
    if not decoded or (decoded[0].width, decoded[0].height) != (frame.width, frame.height):
        return None
    return cast("NDArray[np.uint8]", decoded[0].to_ndarray(format="rgba"))


def _draw(pixels: NDArray[np.uint8], part: NDArray[np.uint8], *, is_blended: bool) -> None:
    """Draw RGBA pixels, (H, W, 4), into a part of the canvas of the same size."""
    if not is_blended or pixels[..., 3].min() == _WHITE:
        part[:] = pixels
        return
    for row in range(0, len(part), _ROWS):
        rows = slice(row, row + _ROWS)
        part[rows] = _blended(pixels[rows], part[rows])


def _blended(above: NDArray[np.uint8], below: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put RGBA pixels over others. Alpha is not premultiplied."""
    alpha = above[..., 3:] / np.float32(255)
    rest = below[..., 3:] / np.float32(255) * (1 - alpha)
    total = alpha + rest
    colour = above[..., :3] * alpha + below[..., :3] * rest
    colour = np.divide(colour, total, out=np.zeros_like(colour), where=total > 0)
    return np.concatenate([colour, total * 255], 2).round().astype(np.uint8)
