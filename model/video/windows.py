"""A long video as windows: how it is cut, and the frames of several windows decoded together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from model.video.reader import FrameBatch, VideoInfo
from model.video.sampling import SamplingConfig, Window, clip_timestamps, plan_windows

# Progress is reported after so many windows at the latest.
_MAX_WINDOWS_PER_BATCH = 8
# They are in memory at once, in a decode worker and in the process that encodes them.
_MAX_FRAMES_PER_BATCH = 64


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """How a video is cut into windows, in seconds; `windows` cover its whole duration in order.

    `stride_seconds` is the stride in use: wider than the one asked for, with a warning, where there
    would be too many windows.
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
        """Plan at most `max_windows` windows over a duration; see `plan_windows`."""
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
    """Neighbouring windows to decode and encode together.

    `rows` is their slice of the plan's windows, `timestamps_seconds` (W, T) float64 the times of
    the frames of each.
    """

    rows: slice
    timestamps_seconds: npt.NDArray[np.float64]

    @property
    def distinct_seconds(self) -> npt.NDArray[np.float64]:
        """(F,) float64, ascending: every time once, as windows that overlap share frames."""
        return np.unique(self.timestamps_seconds)

    def split(self, frames: FrameBatch) -> list[FrameBatch]:
        """The frames of each window, from those decoded at `distinct_seconds`.

        Frames that lie side by side are views, not copies.
        """
        _, index = np.unique(self.timestamps_seconds, return_inverse=True)
        return [_part(frames, row) for row in index.reshape(self.timestamps_seconds.shape)]


def window_batches(
    plan: WindowPlan, info: VideoInfo, sampling: SamplingConfig
) -> Iterator[WindowBatch]:
    """Batches over all windows of a plan, in order; each holds one window at least.

    A batch has at most 8 windows and 64 distinct frames, or one window with more frames.
    """
    timestamps = _timestamps(plan.windows, info, sampling)
    for rows in _batch_rows(timestamps):
        yield WindowBatch(rows, timestamps[rows])


def _timestamps(
    windows: Sequence[Window], info: VideoInfo, sampling: SamplingConfig
) -> npt.NDArray[np.float64]:
    """When to look at each window: (W, T) seconds."""
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
