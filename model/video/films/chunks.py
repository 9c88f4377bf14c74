"""Divide a film into chunks that are encoded once, and average chunks to windows.

Windows that overlap show the same moments. A film is therefore encoded in chunks, short spans that
do not overlap, and the features of a window are the mean of those of its chunks, as the features of
a video are the mean over its clips (Brattoli et al., CVPR 2020, section 4.2).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from model.video.films.windows import WindowPlan
from model.video.sampling import SamplingConfig, Window, clip_timestamps
from model.video.values import FrameBatch, VideoInfo

# The frames of a batch are in memory at once, in a decode worker and in the process that encodes.
_MAX_FRAMES_PER_BATCH = 64
# Pixels of the video that a batch spans: one or two seconds of decoding. A batch is decoded within
# the limits of one job, and progress is reported after each.
_MAX_PIXELS_PER_BATCH = 2e9
# Every batch decodes from the keyframe before it, which short batches do in vain.
_MIN_FRAMES_PER_BATCH = 16
# Strides and windows are floats in seconds.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class ChunkBatch:
    """K consecutive chunks to decode together.

    `rows` is their slice of the plan's chunks. `timestamps_seconds` (K, T) float64 are the times of
    each chunk's T frames.
    """

    rows: slice
    timestamps_seconds: npt.NDArray[np.float64]

    @property
    def distinct_seconds(self) -> npt.NDArray[np.float64]:
        """The times to decode, (F,) float64 ascending, each once."""
        return np.unique(self.timestamps_seconds)

    def split(self, frames: FrameBatch) -> list[npt.NDArray[np.uint8]]:
        """Split the F frames decoded at `distinct_seconds` into the (T, H, W, 3) of each chunk."""
        _, index = np.unique(self.timestamps_seconds, return_inverse=True)
        return [_part(frames.frames, row) for row in index.reshape(self.timestamps_seconds.shape)]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkPlan:
    """The C chunks of a film, in order of time, and the chunks of each of the plan's W windows.

    `centres_seconds` (C,) and `timestamps_seconds` (C, T) are float64: the middle of each chunk and
    the times of its frames. `rows` (W, 2) are the first chunk of each window and the one after its
    last; every window has at least one. `group` is the number of chunks that are encoded as one
    video. `pixels_per_second` are those that the film displays.
    """

    centres_seconds: npt.NDArray[np.float64]
    timestamps_seconds: npt.NDArray[np.float64]
    rows: npt.NDArray[np.intp]
    group: int
    pixels_per_second: float

    @classmethod
    def over(
        cls, plan: WindowPlan, info: VideoInfo, sampling: SamplingConfig, *, mixes_frames: bool
    ) -> "ChunkPlan":
        """Choose chunks of which every window of `plan` has as many frames as a video, or more.

        Each frame is a chunk, unless the encoder `mixes_frames`: then a chunk is a clip. Chunks
        follow each other at a steady rate, and a stride is a whole number of them where that takes
        no more frames than windows without common frames. Where windows leave gaps, only the
        windows have chunks.
        """
        if not mixes_frames:
            count = sampling.clips * sampling.frames_per_clip
            sampling = SamplingConfig(count, 1, "spread")
        length = min(plan.window_seconds, info.duration_seconds)
        spans = _spans(plan, length, info.duration_seconds, sampling.clips)
        share = (spans[0].end_seconds - spans[0].start_seconds) * sampling.clips / length
        clip = replace(sampling, clips=1, leeway=0.0)
        if clip.spacing == "spread":
            # the rate of a window's frames
            frames = max(1, min(clip.frames_per_clip, round(clip.frames_per_clip * share)))
            clip = replace(clip, frames_per_clip=frames)
        times = [
            clip_timestamps(
                span.start_seconds, span.end_seconds, info.frames_per_second, clip
            ).ravel()
            for span in spans
        ]
        centres = np.array([(span.start_seconds + span.end_seconds) / 2 for span in spans])
        pixels = info.width * info.height * info.frames_per_second
        return cls(
            centres,
            np.stack(times),
            chunks_of_windows(plan.windows, centres),
            sampling.clips,
            pixels,
        )

    @property
    def count(self) -> int:
        """Number of chunks."""
        return len(self.centres_seconds)

    def batches(self) -> Iterator[ChunkBatch]:
        """Yield batches of all chunks, in order; the first ends with the first window.

        The others have 16 to 64 frames, fewer for videos with more pixels a second.
        """
        end = 0
        while end < self.count:
            start, size = end, self._batch_size(end)
            if not start:
                size = min(size, math.ceil(self.rows[0, 1] / self.group) * self.group)
            end = min(start + size, self.count)
            rows = slice(start, end)
            yield ChunkBatch(rows, self.timestamps_seconds[rows])

    def window_batches(self) -> Iterator[slice]:
        """Yield the windows that are complete after each batch, as slices of the plan's windows."""
        start = 0
        for batch in self.batches():
            end = int(np.searchsorted(self.rows[:, 1], batch.rows.stop, side="right"))
            if end > start:
                yield slice(start, end)
            start = end

    def _batch_size(self, start: int) -> int:
        """The number of chunks, from one on, to decode together: a multiple of `group`."""
        limit = self.centres_seconds[start] + _MAX_PIXELS_PER_BATCH / self.pixels_per_second
        end = int(np.searchsorted(self.centres_seconds, limit))
        per_chunk: int = self.timestamps_seconds.shape[1]
        frames = min(max((end - start) * per_chunk, _MIN_FRAMES_PER_BATCH), _MAX_FRAMES_PER_BATCH)
        return max(1, frames // per_chunk // self.group) * self.group


class WindowMeans:
    """Averages the features of chunks, as they arrive, to those of windows.

    `rows` (W, 2) are those of `ChunkPlan`. Features are held while a window may need them.
    """

    def __init__(self, rows: npt.NDArray[np.intp]) -> None:
        self._rows = rows
        self._done = 0
        self._held_from = 0
        self._held: npt.NDArray[np.float32] | None = None

    def add(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Add the (K, F) float32 features of the next K chunks.

        Returns (W, F) float32: the means of the windows whose last chunk has arrived, in order.
        """
        held = features if self._held is None else np.concatenate([self._held, features])
        have = self._held_from + len(held)
        means = []
        for first, end in self._rows[self._done :].tolist():
            if end > have:
                break
            means.append(held[first - self._held_from : end - self._held_from].mean(axis=0))
        self._done += len(means)
        needed = have
        if self._done < len(self._rows):
            needed = min(have, int(self._rows[self._done, 0]))
        self._held, self._held_from = held[needed - self._held_from :].copy(), needed
        return np.stack(means) if means else np.empty((0, features.shape[1]), np.float32)


def chunks_of_windows(
    windows: Sequence[Window], centres_seconds: npt.NDArray[np.float64]
) -> npt.NDArray[np.intp]:
    """Return (W, 2): for each window the first chunk and the one after the last, of those inside.

    A chunk is inside a window that its middle is in. `centres_seconds` (C,), C > 0, is ascending. A
    window without a chunk gets the nearest one.
    """
    starts = np.array([window.start_seconds for window in windows])
    ends = np.array([window.end_seconds for window in windows])
    first = np.searchsorted(centres_seconds, starts - _ROUNDING)
    end = np.searchsorted(centres_seconds, ends - _ROUNDING)
    for row in np.flatnonzero(first >= end):
        nearest = np.abs(centres_seconds - (starts[row] + ends[row]) / 2).argmin()
        first[row], end[row] = nearest, nearest + 1
    return np.stack([first, end], axis=1)


def group_chunks(
    chunks: Sequence[npt.NDArray[np.uint8]], group: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """Join the (T, H, W, 3) frames of every `group` chunks; the last chunk fills the last group.

    Encoders are prepared for a fixed number of frames. A group whose chunks follow each other in
    one array, as decoded ones do, is a view of it.
    """
    for start in range(0, len(chunks), group):
        some = list(chunks[start : start + group])
        yield _joined(some + some[-1:] * (group - len(some)))


def _spans(plan: WindowPlan, length: float, duration: float, count: int) -> list[Window]:
    """Divide a film into spans of which `count` fit into a window of `length`, or more."""
    stride = plan.stride_seconds
    if plan.count > 1 and stride <= length + _ROUNDING:
        step = stride / math.ceil(stride * count / length - _ROUNDING)
        # few windows that are shifted by little need no more chunks than one window more has
        return _equal_spans(0.0, duration, max(step, duration / (count * (plan.count + 1))))
    step = length / count
    if plan.count == 1:
        return _equal_spans(0.0, min(length, duration), step)
    return [
        span
        for window in plan.windows
        for span in _equal_spans(window.start_seconds, window.end_seconds, step)
    ]


def _equal_spans(start: float, end: float, step: float) -> list[Window]:
    """Divide a span into steps; the last is shorter, or left out if it is under half a step."""
    count = max(1, math.ceil((end - start) / step - 0.5 - _ROUNDING))
    return [
        Window(start + number * step, min(start + (number + 1) * step, end))
        for number in range(count)
    ]


def _joined(chunks: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    first, address = chunks[0], chunks[0].ctypes.data
    follow_each_other = first.base is not None and all(
        chunk.base is first.base
        and chunk.shape == first.shape
        and chunk.flags.c_contiguous
        and chunk.ctypes.data == address + number * first.nbytes
        for number, chunk in enumerate(chunks)
    )
    if not follow_each_other:
        return np.concatenate(chunks)
    shape = (len(chunks) * len(first), *first.shape[1:])
    return np.lib.stride_tricks.as_strided(first, shape, first.strides)


def _part(frames: npt.NDArray[np.uint8], index: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
    """Select frames by their (T,) index: a view where they follow each other."""
    first, last = int(index[0]), int(index[-1])
    is_range = np.array_equal(index, np.arange(first, last + 1))
    return frames[first : last + 1] if is_range else frames[index]
