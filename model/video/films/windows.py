"""Divide a video into windows, the spans of time that are tagged."""

from dataclasses import dataclass
from typing import Self

from model.video.sampling import Window, plan_windows


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
