"""Values that describe a video: its facts, its limits, and a batch of its frames."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Facts about a video as it is displayed: rotation and sample aspect ratio are applied.

    `width` and `height` are in pixels. `rotation` is the clockwise rotation that was applied, in
    degrees: 0, 90, 180 or 270. `codec` is FFmpeg's name of the codec. `warnings` are sentences for
    the user, for example that HDR was tone mapped.
    """

    duration_seconds: float
    frames_per_second: float
    width: int
    height: int
    rotation: int
    codec: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """Limits on an untrusted video; one that exceeds them raises a VideoError.

    `max_pixels` is per frame. A frame rate over `max_frames_per_second` is reported as that limit
    and raises no error. `max_walked_frames` bounds the packets that are read to find the wanted
    frames, `max_bad_packets` the damaged packets that are skipped.
    """

    max_duration_seconds: float = 4 * 3600.0
    # 8K is 7680x4320 to 8192x4608; the largest frames of action cameras are 5312x4648.
    max_pixels: int = 38_000_000
    max_frames_per_second: float = 240.0
    # Four hours at 60 frames/s, and more: a bound for small files that claim endless frames.
    max_walked_frames: int = 1_000_000
    max_bad_packets: int = 1_000


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class FrameBatch:
    """Decoded frames and the times at which they are displayed.

    `frames` is uint8 (T, H, W, 3) RGB, `timestamps_seconds` float64 (T,). Raises ValueError for
    arrays of another shape or dtype.
    """

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
            raise ValueError(
                f"timestamps_seconds must be float64 times of shape ({len(frames)},), not "
                f"{times.dtype} {times.shape}"
            )

    def __repr__(self) -> str:
        return f"FrameBatch(frames={self.frames.shape}, warnings={self.warnings})"


def checked_times(timestamps_seconds: ArrayLike, short_side: int) -> NDArray[np.float64]:
    """Return times to decode as float64 (T,). Raises ValueError as `reader.decode` does."""
    times = np.asarray(timestamps_seconds, np.float64)
    if times.ndim != 1 or times.size == 0 or not np.isfinite(times).all():
        raise ValueError(
            "timestamps_seconds must be a one-dimensional array of at least one finite number"
        )
    if short_side < 1:
        raise ValueError(f"short_side must be at least 1, not {short_side}")
    return times
