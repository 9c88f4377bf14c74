"""Read an untrusted video file: facts about it, and the frames displayed at given times.

Times are seconds from the first frame that can be decoded. Where a seek saves work, the frames in
between are not decoded; the frames returned are those that decoding the whole file in order would
return (docs/decisions/0008-seeking-must-not-change-a-frame.md).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import BinaryIO, TypeAlias

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import ArrayLike, NDArray

from model.errors import CorruptVideo, EncryptedVideo, NoFrames, StillPicture, VideoTooLong
from model.video.container import (
    HAS_KEYFRAME_TIMES,
    MIN_THREADED_PIXELS,
    SEEKABLE,
    STILL_PICTURE,
    check_size,
    open_stream,
)
from model.video.containers.checks import check_container
from model.video.facts import video_info
from model.video.file_view import FileView, file_size
from model.video.frame_scaler import FrameScaler, Rotation
from model.video.frames import DecodedFrame, FrameReader, displayed_frames
from model.video.gpu_eligibility import Located, is_gpu_decodable
from model.video.packets import UnreliableStreamError, time_base_of
from model.video.pictures.animated_webp import AnimatedWebp
from model.video.pictures.gif import with_shown_delays
from model.video.pictures.webp import is_webp
from model.video.recognition.file_types import has_encrypted_track, is_gif, is_image
from model.video.recognition.truncation import early_end
from model.video.sampling import SamplingConfig, clip_timestamps
from model.video.timing.display_times import lacks_display_times
from model.video.timing.duration import read_timeline
from model.video.timing.transport_clock import OneClock, with_one_clock
from model.video.values import FrameBatch, VideoInfo, VideoLimits, checked_times

__all__ = [
    "AnyVideo",
    "FrameBatch",
    "Located",
    "OpenVideo",
    "VideoInfo",
    "VideoLimits",
    "decode",
    "open_video",
    "probe",
]


_HEAD_BYTES = 512


def probe(file: BinaryIO, limits: VideoLimits | None = None) -> VideoInfo:
    """Return facts about the video; its first frame is decoded. Raises a VideoError."""
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
    """Return the frame displayed at each time, in the given order.

    Times before the first frame select the first, times after the end the last. Frames are scaled
    so that their short side is `short_side` pixels; the long side follows the display aspect ratio,
    is even, and at most four times as long. `keyframes_only` returns the last keyframe at or before
    each time instead: many times cheaper, but up to a group of pictures too early.

    Raises a VideoError, and ValueError for times that are not finite or a `short_side` under 1.
    """
    with open_video(file, limits) as video:
        return video.decode(
            timestamps_seconds, short_side=short_side, keyframes_only=keyframes_only
        )


@contextmanager
def open_video(
    file: BinaryIO,
    limits: VideoLimits | None = None,
    *,
    threads: int = 1,
    min_threaded_pixels: int = MIN_THREADED_PIXELS,
) -> Iterator["AnyVideo"]:
    """Open a video once for `info` and several decodes. Raises a VideoError.

    Frames of at least `min_threaded_pixels` pixels are decoded by `threads` threads: the result is
    the same and comes sooner, for a little more processor time.
    """
    limits = limits or VideoLimits()
    head = FileView(file).read(_HEAD_BYTES)
    if is_webp(head):
        yield AnimatedWebp(file, limits, STILL_PICTURE)
        return
    check_container(file)
    source = OneClock(with_shown_delays(file), {}) if is_gif(head) else with_one_clock(file)
    with open_stream(
        source.file, limits, threads=threads, min_threaded_pixels=min_threaded_pixels
    ) as (container, stream):
        warnings = source.warnings.get(stream.id, ())
        yield OpenVideo(source.file, limits, container, stream, warnings)


class OpenVideo:
    """An open video and its facts, `info` and `rotation`.

    `open_video` creates it; it is valid within that block. `decoded_packets` counts the packets
    that were sent to the decoder so far, as a measure of the cost.
    """

    def __init__(
        self,
        file: BinaryIO,
        limits: VideoLimits,
        container: InputContainer,
        stream: VideoStream,
        warnings: Sequence[str],
    ) -> None:
        self.decoded_packets = 0
        self._file = file
        self._limits = limits
        self._container = container
        self._stream = stream
        self._seconds_per_tick = float(time_base_of(stream))
        # The reader that decoded the first frame; the first call of `decode` continues with it.
        self._first_reader: FrameReader | None = None
        self._first = self._first_frame()
        start, frame = self._first
        check_size(frame.width, frame.height, limits)
        self.rotation = Rotation.of(frame)
        self._timeline = read_timeline(file, limits, container, stream, start)
        if self._timeline.frames == 1 and is_image(FileView(file).read(_HEAD_BYTES)):
            raise StillPicture(STILL_PICTURE)
        self.info = video_info(
            stream, frame, start, self._timeline, self.rotation, limits, warnings
        )
        early = early_end(
            FileView(file),
            file_size(file),
            self._claimed_seconds(),
            self.info.duration_seconds,
            1 / self.info.frames_per_second,
        )
        if early is not None:
            self.info = replace(self.info, warnings=(early, *self.info.warnings))
        if self.info.duration_seconds > limits.max_duration_seconds:
            raise VideoTooLong(
                f"the video is {self.info.duration_seconds:.1f} s long, the limit is "
                f"{limits.max_duration_seconds:g} s; cut it into shorter files"
            )

    def _claimed_seconds(self) -> float:
        """The duration by the header, 0 where it does not say."""
        if self._stream.duration:
            return float(self._stream.duration * time_base_of(self._stream))
        return (self._container.duration or 0) / 1_000_000

    def _first_frame(self) -> DecodedFrame:
        try:
            reader = FrameReader(self._container, self._stream, self._limits, strict=True)
            first = reader.next()
            if first is not None:
                self._first_reader = reader
                return first
        except UnreliableStreamError:
            pass
        with open_stream(self._file, self._limits) as (container, stream):
            counted_from = 0 if lacks_display_times(container, stream) else None
            reader = FrameReader(
                container, stream, self._limits, strict=False, counted_from=counted_from
            )
            first = reader.next()
            if first is not None:
                return first
        if reader.encrypted_packets or has_encrypted_track(self._file):
            raise EncryptedVideo("the video is encrypted; upload it decrypted")
        if reader.bad_packets > self._limits.max_bad_packets:
            raise CorruptVideo(
                f"the video is damaged: {reader.bad_packets} packets could not be decoded, and no "
                "frame was found"
            )
        raise NoFrames("the video stream contains no frame that can be decoded")

    def keyframe_before(self, seconds: float) -> float | None:
        """Estimate when the last keyframe at or before a time is displayed, in seconds.

        None where the file does not tell.
        """
        if (
            self._timeline.clock != "stored"
            or self._container.format.name not in HAS_KEYFRAME_TIMES
        ):
            return None
        target = self._first.pts + int(seconds / self._seconds_per_tick + 1e-6)
        key = self._timeline.keyframe(self._stream.index_entries, target)
        return None if key is None else (key - self._first.pts) * self._seconds_per_tick

    def times(self, sampling: SamplingConfig) -> NDArray[np.float64]:
        """Choose times over the whole video: float64 (clips, frames_per_clip), in seconds."""
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
        """Decode as the function `decode` does.

        `allocate` makes the uint8 array (T, H, W, 3) that the frames are written to.
        """
        times = checked_times(timestamps_seconds, short_side)
        wanted, index_of_time = np.unique(self._ticks(times), return_inverse=True)
        scaler = FrameScaler(short_side, self.info.width, self.info.height, self.rotation)
        shape = (times.size, *scaler.shape)
        frames = allocate(shape) if allocate else np.empty(shape, np.uint8)
        displayed_at = np.empty(times.size)
        warnings: tuple[str, ...] = ()
        for strict in (True, False) if self._timeline.clock == "stored" else (False,):
            try:
                with self._reader(strict, keyframes_only) as (reader, first, skipped_by_seek):
                    reader.want(wanted.tolist())
                    displayed = displayed_frames(reader, first, wanted.tolist(), skipped_by_seek)
                    for index, decoded in enumerate(displayed):
                        rows = index_of_time == index
                        frames[rows] = scaler.scale(decoded)
                        seconds = (decoded.pts - self._first.pts) * self._seconds_per_tick
                        displayed_at[rows] = seconds
                    warnings = _damage_warnings(reader)
                    self.decoded_packets += reader.decoded_packets
                break
            except UnreliableStreamError:
                # Decode all of it again with a reader that does not trust the file.
                continue
        return FrameBatch(frames, displayed_at, warnings)

    def locate(self, timestamps_seconds: NDArray[np.float64], short_side: int) -> Located | None:
        """Locate the frames displayed at these times, for decoding on a GPU.

        None where a GPU's decoder might return other frames or colours.
        """
        frame, info = self._first.frame, self.info
        height, width, _ = FrameScaler(short_side, info.width, info.height, self.rotation).shape
        if (
            self.rotation != Rotation()
            # The GPU reproduces libswscale's scaling only where it scales down.
            or frame.height <= height
            or frame.width <= width
            or info.warnings
            or self._timeline.clock != "stored"
            or not is_gpu_decodable(self._file, self._container, self._stream, frame)
        ):
            return None
        ticks = np.maximum(self._ticks(timestamps_seconds), self._first.pts)
        return Located(
            stream=self._stream.index,
            start_seconds=self._first.pts * self._seconds_per_tick,
            # Half a tick later, so that rounding cannot lead to the frame before.
            seconds=(ticks + 0.5) * self._seconds_per_tick,
            height=height,
            width=width,
        )

    def _ticks(self, times: NDArray[np.float64]) -> NDArray[np.int64]:
        # Rounding of a frame's own time must not lead to the frame before.
        return self._first.pts + np.floor(times / self._seconds_per_tick + 1e-6).astype(np.int64)

    @contextmanager
    def _reader(
        self, strict: bool, keyframes_only: bool
    ) -> Iterator[tuple[FrameReader, DecodedFrame, Callable[[int, int], int] | None]]:
        """Yield a reader that has returned the first frame, that frame, and `skipped_by_seek`."""
        first_reader, self._first_reader = self._first_reader, None
        if strict and not keyframes_only and first_reader is not None:
            yield first_reader, self._first, self._skipped_by_seek(self._stream)
            return
        with open_stream(self._file, self._limits) as (container, stream):
            is_counted = self._timeline.clock == "counted" or (
                not strict and lacks_display_times(container, stream)
            )
            reader = FrameReader(
                container,
                stream,
                self._limits,
                strict=strict,
                keyframes_only=keyframes_only,
                counted_from=self._first.pts if is_counted else None,
            )
            first = reader.next() or self._first
            yield reader, first, self._skipped_by_seek(stream) if strict else None

    def _skipped_by_seek(self, stream: VideoStream) -> Callable[[int, int], int] | None:
        if self._container.format.name not in SEEKABLE:
            return None
        return partial(self._timeline.skipped_by_seek, stream.index_entries)


# What `open_video` yields.
AnyVideo: TypeAlias = OpenVideo | AnimatedWebp


def _damage_warnings(reader: FrameReader) -> tuple[str, ...]:
    warnings = []
    if reader.bad_packets:
        warnings.append(f"{reader.bad_packets} damaged packets were left out")
    if reader.encrypted_packets:
        warnings.append(f"{reader.encrypted_packets} encrypted packets were left out")
    return tuple(warnings)
