"""An untrusted video file -> facts about it, and the frames shown at given times.

Times are seconds from the first frame that can be decoded. Only the frames asked for are
converted, and where a seek saves work the ones between are not decoded; the frames chosen are
those that reading the whole file in order would give.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import ArrayLike, NDArray

from model.errors import CorruptVideo, EncryptedVideo, NoFrames, VideoTooLong
from model.video.container import (
    VideoLimits,
    check_size,
    codec_name,
    has_encrypted_track,
    open_stream,
)
from model.video.duration import read_timeline
from model.video.frame_scaler import FrameScaler, Rotation
from model.video.frames import DecodedFrame, FrameReader, UnreliableStreamError, time_base_of
from model.video.plain import Located, is_plain
from model.video.sampling import SamplingConfig, clip_timestamps

__all__ = [
    "FrameBatch",
    "Located",
    "OpenVideo",
    "VideoInfo",
    "VideoLimits",
    "decode",
    "open_video",
    "probe",
]

# A seek costs about as much as decoding this many frames: the decoder starts empty.
_SEEK_COST_FRAMES = 4
# FFmpeg's names of the containers that give each frame its own time. In the others (MPEG-PS,
# Ogg) times are counted on from a mark, and differ after a seek.
_SEEKABLE = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "flv", "asf"}
_HDR_CURVES = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """A video as it is shown: rotation and sample aspect are applied to width and height.

    `rotation` is the turn clockwise in degrees that was applied: 0, 90, 180 or 270.
    """

    duration_seconds: float
    frames_per_second: float
    width: int
    height: int
    rotation: int
    codec: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class FrameBatch:
    """Frames, uint8 (T, H, W, 3) RGB, and the times they appear at, float64 (T,) seconds."""

    frames: NDArray[np.uint8]
    timestamps_seconds: NDArray[np.float64]
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        frames, times = self.frames, self.timestamps_seconds
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be uint8 (T, H, W, 3), not {frames.dtype} {frames.shape}"
            )
        if times.shape != frames.shape[:1] or times.dtype != np.float64:
            raise ValueError(f"{frames.shape[0]} frames need as many float64 times: {times.shape}")

    def __repr__(self) -> str:
        return f"FrameBatch(frames={self.frames.shape}, warnings={self.warnings})"


def probe(file: BinaryIO, limits: VideoLimits | None = None) -> VideoInfo:
    """Facts about the video; its first frame is decoded. Raises a VideoError."""
    with open_video(file, limits) as video:
        return video.info


def decode(
    file: BinaryIO,
    timestamps_seconds: ArrayLike,
    *,
    short_side: int,
    limits: VideoLimits | None = None,
    keyframes_only: bool = False,
) -> FrameBatch:
    """The frame shown at each time, in the order asked; the first frame for times before it.

    The short side becomes `short_side` pixels and the long side what the display aspect says
    (even, at most four times as long). `keyframes_only` takes the last keyframe instead: many
    times cheaper, and wrong by up to a group of pictures. Raises a VideoError.
    """
    with open_video(file, limits) as video:
        return video.decode(
            timestamps_seconds, short_side=short_side, keyframes_only=keyframes_only
        )


@contextmanager
def open_video(
    file: BinaryIO, limits: VideoLimits | None = None, *, threads: int = 1
) -> Iterator["OpenVideo"]:
    """Open once, look and decode: saves a second start over `probe` and `decode`.

    More `threads` make a large picture come sooner, for a little more work in all.
    """
    with ExitStack() as stack:
        yield OpenVideo(file, limits or VideoLimits(), stack, threads)


class OpenVideo:
    """A video with its facts known. Made by `open_video`, valid until that ends.

    `decoded_packets` counts what the decoder was given by all decodes: the real work.
    """

    def __init__(
        self, file: BinaryIO, limits: VideoLimits, stack: ExitStack, threads: int = 1
    ) -> None:
        self.decoded_packets = 0
        self._file = file
        self._limits = limits
        self._container, self._stream = stack.enter_context(
            open_stream(file, limits, threads=threads)
        )
        self._seconds_per_tick = float(time_base_of(self._stream))
        self._warm_reader: FrameReader | None = None
        self._first = self._first_frame()
        frame = self._first.frame
        check_size(frame.width, frame.height, limits)
        self.rotation = Rotation.of(frame)
        self._timeline = read_timeline(file, limits, self._container, self._stream, self._first.pts)
        self.info = self._describe(frame)
        if self.info.duration_seconds > limits.max_duration_seconds:
            raise VideoTooLong(
                f"{self.info.duration_seconds:.1f} s are more than the limit of "
                f"{limits.max_duration_seconds:g} s"
            )

    def _first_frame(self) -> DecodedFrame:
        try:
            reader = FrameReader(self._container, self._stream, self._limits, strict=True)
            first = reader.next()
            if first is not None:
                self._warm_reader = reader
                return first
        except UnreliableStreamError:
            pass
        with open_stream(self._file, self._limits) as (container, stream):
            reader = FrameReader(container, stream, self._limits, strict=False)
            first = reader.next()
            if first is not None:
                return first
        if reader.encrypted_packets or has_encrypted_track(self._file):
            raise EncryptedVideo("the video is encrypted")
        if reader.bad_packets > self._limits.max_bad_packets:
            raise CorruptVideo(f"{reader.bad_packets} damaged packets and not one frame")
        raise NoFrames("not a single frame could be decoded")

    def _describe(self, frame: VideoFrame) -> VideoInfo:
        timeline, warnings = self._timeline, []
        duration = (timeline.end - self._first.pts) * self._seconds_per_tick
        width, height = self._display_size(frame)
        if timeline.frames == 1:
            warnings.append("only one frame: it stands for the whole video")
        if frame.color_trc in _HDR_CURVES:
            warnings.append(f"HDR ({_HDR_CURVES[frame.color_trc]}) is shown without tone mapping")
        bits = max((part.bits for part in frame.format.components), default=8)
        if bits > 8:
            warnings.append(f"{bits} bits per colour are reduced to 8")
        rate = self._frames_per_second(duration)
        if rate > self._limits.max_frames_per_second:
            limit = self._limits.max_frames_per_second
            warnings.append(f"{rate:g} frames/s are taken as {limit:g}")
            rate = limit
        return VideoInfo(
            duration_seconds=duration,
            frames_per_second=rate,
            width=width,
            height=height,
            rotation=self.rotation.degrees,
            codec=codec_name(self._stream) or "",
            warnings=tuple(warnings),
        )

    def _frames_per_second(self, duration: float) -> float:
        if self._timeline.frames is not None:
            return self._timeline.frames / duration
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(rate) if rate and rate > 0 else 25.0

    def _display_size(self, frame: VideoFrame) -> tuple[int, int]:
        aspect = self._stream.sample_aspect_ratio
        stretch = float(aspect) if aspect and 0.01 <= aspect <= 100 else 1.0
        width, height = max(1, round(frame.width * stretch)), frame.height
        return (height, width) if self.rotation.transposed else (width, height)

    def keyframe_before(self, seconds: float) -> float | None:
        """About when the last keyframe up to a time is shown, None where the file does not say."""
        if self._timeline.restarts or self._container.format.name not in _SEEKABLE:
            return None
        target = self._first.pts + int(seconds / self._seconds_per_tick + 1e-6)
        key = self._timeline.keyframe(self._stream.index_entries, target)
        return None if key is None else (key - self._first.pts) * self._seconds_per_tick

    def times(self, sampling: SamplingConfig) -> NDArray[np.float64]:
        """Times to look at for the whole video, float64 (clips, frames_per_clip), in seconds."""
        duration, rate = self.info.duration_seconds, self.info.frames_per_second
        return clip_timestamps(0.0, duration, rate, sampling, self.keyframe_before)

    def decode(
        self,
        timestamps_seconds: ArrayLike,
        *,
        short_side: int,
        keyframes_only: bool = False,
        allocate: Callable[[tuple[int, ...]], NDArray[np.uint8]] | None = None,
    ) -> FrameBatch:
        """As the function `decode`; `allocate` gives the array (T, H, W, 3) to write into."""
        times = np.asarray(timestamps_seconds, np.float64)
        if times.ndim != 1 or times.size == 0 or not np.isfinite(times).all():
            raise ValueError("timestamps_seconds must be a row of finite numbers, at least one")
        if short_side < 1:
            raise ValueError(f"short_side must be positive, not {short_side}")
        wanted, places = np.unique(self._ticks(times), return_inverse=True)
        scaler = FrameScaler(short_side, self.info.width, self.info.height, self.rotation)
        shape = (times.size, *scaler.shape)
        frames = allocate(shape) if allocate else np.empty(shape, np.uint8)
        shown_at = np.empty(times.size)
        warnings: tuple[str, ...] = ()
        for strict in (False,) if self._timeline.restarts else (True, False):
            try:
                with self._reader(strict, keyframes_only) as (reader, first, skips):
                    reader.aim(wanted.tolist())
                    for place, shown in enumerate(_walk(reader, first, wanted.tolist(), skips)):
                        here = places == place
                        frames[here] = scaler.scale(shown)
                        shown_at[here] = (shown.pts - self._first.pts) * self._seconds_per_tick
                    warnings = _damage(reader)
                    self.decoded_packets += reader.decoded_packets
                break
            except UnreliableStreamError:
                # What was drawn so far is drawn again, from a reader that trusts nothing.
                continue
        return FrameBatch(frames, shown_at, warnings)

    def locate(self, timestamps_seconds: NDArray[np.float64], short_side: int) -> Located | None:
        """The frames shown at these times, None where another decoder might see others."""
        frame, info = self._first.frame, self.info
        height, width, _ = FrameScaler(short_side, info.width, info.height, self.rotation).shape
        if (
            self.rotation != Rotation()
            # what is not made smaller is drawn by other parts of FFmpeg
            or frame.height <= height
            or frame.width <= width
            or info.warnings
            or self._timeline.restarts
            or not is_plain(self._file, self._container, self._stream, frame)
        ):
            return None
        ticks = np.maximum(self._ticks(timestamps_seconds), self._first.pts)
        return Located(
            stream=self._stream.index,
            start_seconds=self._first.pts * self._seconds_per_tick,
            # half a tick on, where no rounding takes it to the frame before
            seconds=(ticks + 0.5) * self._seconds_per_tick,
            height=height,
            width=width,
        )

    def _ticks(self, times: NDArray[np.float64]) -> NDArray[np.int64]:
        # A time equal to a frame's own, as floats have it, must not fall on the one before.
        return self._first.pts + np.floor(times / self._seconds_per_tick + 1e-6).astype(np.int64)

    @contextmanager
    def _reader(
        self, strict: bool, keyframes_only: bool
    ) -> Iterator[tuple[FrameReader, DecodedFrame, Callable[[int, int], int] | None]]:
        warm, self._warm_reader = self._warm_reader, None
        if strict and not keyframes_only and warm is not None:
            yield warm, self._first, self._skips(self._stream)
            return
        with open_stream(self._file, self._limits) as (container, stream):
            reader = FrameReader(
                container, stream, self._limits, strict=strict, keyframes_only=keyframes_only
            )
            first = reader.next() or self._first
            yield reader, first, self._skips(stream) if strict else None

    def _skips(self, stream: VideoStream) -> Callable[[int, int], int] | None:
        if self._container.format.name not in _SEEKABLE:
            return None
        return partial(self._timeline.skips, stream.index_entries)


def _walk(
    reader: FrameReader,
    first: DecodedFrame,
    wanted: Sequence[int],
    skips: Callable[[int, int], int] | None,
) -> Iterator[DecodedFrame]:
    """The frame shown at each wanted time (sorted ticks), seeking where `skips` says it pays."""

    def pays(position: int, place: int) -> bool:
        return skips is not None and skips(position, wanted[place]) > _SEEK_COST_FRAMES

    held: DecodedFrame | None = first
    following: DecodedFrame | None = None
    ended = False
    jump = pays(first.pts, 0)
    for place, target in enumerate(wanted):
        if jump:
            reader.seek(target)
            held, following, ended = None, None, False
        is_last = place + 1 == len(wanted)
        jump = not is_last and pays(target, place + 1)
        while not ended:
            if following is None:
                is_end = skips is not None and (is_last or jump)
                following = reader.next(target if is_end else None)
                ended = following is None
            if following is not None:
                if following.pts > target:
                    break
                held, following = following, None
        if held is None:
            raise UnreliableStreamError("the frame after a seek comes too late")
        yield held


def _damage(reader: FrameReader) -> tuple[str, ...]:
    warnings = []
    if reader.bad_packets:
        warnings.append(f"{reader.bad_packets} damaged packets were left out")
    if reader.encrypted_packets:
        warnings.append(f"{reader.encrypted_packets} encrypted packets were left out")
    return tuple(warnings)
