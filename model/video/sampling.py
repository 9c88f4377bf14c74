"""Choose which frames of a video are decoded: the sampling rule.

This is arithmetic on the duration, the frame rate and the keyframes; nothing is decoded here. All
times are seconds from the first frame of the video.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

KeyframeBefore: TypeAlias = Callable[[float], float | None]

# Frames of parts up to this length are exact, so that copies of a short clip in other codecs give
# the same tags; an encoder of such a clip rarely sets keyframes that would save much
# (docs/decisions/0012-each-part-of-a-video-gives-its-cheapest-frame.md).
_EXACT_PART_SECONDS = 2.5
# A last window that adds less than this share of a stride comes from rounding of floats.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """The rule by which frames are sampled from a span of video; stored in the checkpoint.

    The encoder gets `clips` clips of `frames_per_clip` frames. Spacing `spread` divides the span
    into equal parts and selects the frame at the centre of each (sparse, covers everything);
    `consecutive` selects neighbouring frames at the video's own rate (dense, as the paper trained).

    `leeway` is the share of a part's seconds beyond the first 2.5 by which a `spread` frame may be
    off the part's centre where that saves decoding, 0 to under 0.5: one frame represents all of its
    part (Wang et al., ECCV 2016, "Temporal Segment Networks"). Raises ValueError for values out of
    range.
    """

    clips: int
    frames_per_clip: int
    spacing: Literal["spread", "consecutive"] = "spread"
    leeway: float = 0.0

    def __post_init__(self) -> None:
        if self.clips < 1 or self.frames_per_clip < 1:
            raise ValueError(
                "clips and frames_per_clip must be at least 1, "
                f"not {self.clips} and {self.frames_per_clip}"
            )
        if self.spacing not in ("spread", "consecutive"):
            raise ValueError(f"spacing must be 'spread' or 'consecutive', not {self.spacing!r}")
        if not 0.0 <= self.leeway < 0.5:
            raise ValueError(f"leeway must be at least 0 and under 0.5, not {self.leeway}")


@dataclass(frozen=True, slots=True)
class Window:
    """A span of video that is encoded on its own: [start_seconds, end_seconds)."""

    start_seconds: float
    end_seconds: float


def clip_timestamps(
    start_seconds: float,
    end_seconds: float,
    frames_per_second: float,
    config: SamplingConfig,
    keyframe_before: KeyframeBefore | None = None,
) -> NDArray[np.float64]:
    """Choose the times of the frames of each clip: float64 (clips, frames_per_clip), in seconds.

    Rows are sorted and every time is in [start, end). In a span with fewer frames than a
    consecutive clip has, the clip starts with the first frame and repeats the last.

    `keyframe_before` returns the time of the last keyframe at or before a time, None where it is
    unknown; without it the leeway is not used. Raises ValueError for an empty or infinite span and
    for a `frames_per_second` that is not positive.
    """
    length = end_seconds - start_seconds
    if not (math.isfinite(length) and length > 0 and math.isfinite(start_seconds)):
        raise ValueError(
            f"the span must be finite and not empty, not [{start_seconds}, {end_seconds})"
        )
    if config.spacing == "spread":
        count = config.clips * config.frames_per_clip
        times = (start_seconds + (np.arange(count) + 0.5) * (length / count)).astype(np.float64)
        reach = config.leeway * max(0.0, length / count - _EXACT_PART_SECONDS)
        if reach and keyframe_before is not None:
            times = _move_to_cheaper_frames(times, reach, keyframe_before)
    else:
        times = start_seconds + _consecutive_offsets(length, frames_per_second, config)
    last = np.nextafter(end_seconds, start_seconds)
    inside: NDArray[np.float64] = np.clip(times, start_seconds, last)
    return inside.reshape(config.clips, config.frames_per_clip)


def _move_to_cheaper_frames(
    times: NDArray[np.float64], reach: float, keyframe_before: KeyframeBefore
) -> NDArray[np.float64]:
    """Move each time by at most `reach` seconds to the frame that costs the least decoding.

    A keyframe is decoded alone. Where none is in reach, all frames from the keyframe before it are
    decoded. Of several times after the same keyframe, the last one alone determines how many frames
    are decoded: it is moved by all of `reach`, and the others stay.
    """
    moved = times.copy()
    next_key: float | None = None
    for index in reversed(range(len(times))):
        time = float(times[index])
        key = keyframe_before(time)
        nearest = key
        if key is None or key < time - reach:
            nearest = keyframe_before(time + reach)
        if nearest is not None and nearest >= time - reach:
            key = moved[index] = nearest
        elif key is not None and key != next_key:
            moved[index] = time - reach
        next_key = key
    return moved


def _consecutive_offsets(
    length: float, frames_per_second: float, config: SamplingConfig
) -> NDArray[np.float64]:
    if not (math.isfinite(frames_per_second) and frames_per_second > 0):
        raise ValueError(f"frames_per_second must be positive, not {frames_per_second}")
    present = max(1, math.floor(length * frames_per_second + 1e-6))
    last_start = max(0, present - config.frames_per_clip)
    starts = (
        np.linspace(0, last_start, config.clips) if config.clips > 1 else np.array([last_start / 2])
    )
    numbers = np.round(starts)[:, None] + np.arange(config.frames_per_clip)
    # The middle of a frame's time: rounding at its edges could choose a neighbour.
    step = min(1 / frames_per_second, length / present)
    offsets: NDArray[np.float64] = (np.minimum(numbers, present - 1) + 0.5) * step
    return offsets


def plan_windows(
    duration_seconds: float, window_seconds: float, stride_seconds: float, max_windows: int
) -> tuple[tuple[Window, ...], float]:
    """Divide a duration into windows; return them and the stride that was used, in seconds.

    No window ends after the video: the last one may be shorter. The stride is increased where
    there would be more than `max_windows` windows. Raises ValueError for a value that is not
    positive and finite.
    """
    given = (duration_seconds, window_seconds, stride_seconds)
    if not all(math.isfinite(seconds) and seconds > 0 for seconds in given) or max_windows < 1:
        raise ValueError(
            "duration, window, stride and max_windows must be positive, "
            f"not {duration_seconds}, {window_seconds}, {stride_seconds}, {max_windows}"
        )
    beyond_first = max(0.0, duration_seconds - window_seconds)
    count = 1 + math.ceil(beyond_first / stride_seconds - _ROUNDING)
    # Where windows leave gaps, the last one so counted may start after the end.
    count = min(count, max(1, math.ceil(duration_seconds / stride_seconds - _ROUNDING)))
    stride = stride_seconds
    if count > max_windows:
        count = max_windows
        stride = beyond_first / (count - 1) if count > 1 else duration_seconds
    starts = (number * stride for number in range(count))
    windows = tuple(
        Window(start, min(start + window_seconds, duration_seconds)) for start in starts
    )
    return windows, stride
