"""Divide a video into windows, and batch the windows whose frames are decoded together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from model.video.reader import FrameBatch, VideoInfo
from model.video.sampling import SamplingConfig, Window, clip_timestamps, plan_windows

# Progress is reported after each batch.
_MAX_WINDOWS_PER_BATCH = 8
# The frames of a batch are in memory at once, in a decode worker and in the process that encodes.
_MAX_FRAMES_PER_BATCH = 64


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """The windows of a video in order of time, with their length and stride in seconds.

    Windows leave gaps where the stride is longer than a window. `stride_seconds` is the stride in
    use: longer than the requested one, with an entry in `warnings`, where there would be too many
    windows.
    """

    windows: tuple[Window, ...]
    window_seconds: float
    stride_seconds: float
    warnings: tuple[str, ...] = ()

    @classmethod
    def over(
        cls,
        duration_seconds: float,
        *,
        window_seconds: float,
        stride_seconds: float,
        max_windows: int,
    ) -> Self:
        """Plan at most `max_windows` windows over a duration; see `plan_windows`.

        Raises ValueError for a value that is not positive and finite.
        """
        windows, stride = plan_windows(
            duration_seconds, window_seconds, stride_seconds, max_windows
        )
        warnings: tuple[str, ...] = ()
        if stride > stride_seconds:
            warnings = (f"stride widened to {stride:.3f} s: {len(windows)} windows at most",)
        return cls(windows, window_seconds, stride, warnings)

    @property
    def count(self) -> int:
        """Number of windows."""
        return len(self.windows)


@dataclass(frozen=True, slots=True, eq=False)
class WindowBatch:
    """W consecutive windows to decode and encode together.

    `rows` is their slice of the plan's windows. `timestamps_seconds` (W, T) float64 are the times
    of each window's T = clips * frames_per_clip frames.
    """

    rows: slice
    timestamps_seconds: npt.NDArray[np.float64]

    @property
    def distinct_seconds(self) -> npt.NDArray[np.float64]:
        """The times to decode, (F,) float64 ascending; a time that windows share is listed once."""
        return np.unique(self.timestamps_seconds)

    def split(self, frames: FrameBatch) -> list[FrameBatch]:
        """Split the F frames decoded at `distinct_seconds` into the T frames of each window.

        A window whose frames are consecutive in `frames` is a view, not a copy.
        """
        _, index = np.unique(self.timestamps_seconds, return_inverse=True)
        return [_part(frames, row) for row in index.reshape(self.timestamps_seconds.shape)]


def window_batches(
    plan: WindowPlan, info: VideoInfo, sampling: SamplingConfig
) -> Iterator[WindowBatch]:
    """Yield batches of all windows of a plan, in order.

    A batch has at most 8 windows and 64 distinct frames, or a single window with more frames.
    """
    timestamps = _timestamps(plan.windows, info, sampling)
    for rows in _batch_rows(timestamps):
        yield WindowBatch(rows, timestamps[rows])


def _timestamps(
    windows: Sequence[Window], info: VideoInfo, sampling: SamplingConfig
) -> npt.NDArray[np.float64]:
    """Choose the times of each window's frames: (W, T) float64, in seconds."""
    return np.stack(
        [
            clip_timestamps(
                window.start_seconds, window.end_seconds, info.frames_per_second, sampling
            ).ravel()
            for window in windows
        ]
    )


def _batch_rows(timestamps: npt.NDArray[np.float64]) -> Iterator[slice]:
    start = 0
    while start < len(timestamps):
        end = min(start + _MAX_WINDOWS_PER_BATCH, len(timestamps))
        while end > start + 1 and np.unique(timestamps[start:end]).size > _MAX_FRAMES_PER_BATCH:
            end -= 1
        yield slice(start, end)
        start = end


def _part(frames: FrameBatch, index: npt.NDArray[np.intp]) -> FrameBatch:
    first, last = int(index[0]), int(index[-1])
    is_range = np.array_equal(index, np.arange(first, last + 1))
    rows = slice(first, last + 1) if is_range else index
    return FrameBatch(frames.frames[rows], frames.timestamps_seconds[rows], frames.warnings)
