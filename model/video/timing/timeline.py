"""The timeline of a stream: its end, its rate, and what a seek saves."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from av.index import IndexEntries


@dataclass(frozen=True, slots=True)
class Timeline:
    """The end of a stream, and estimates of what a seek saves. Times are ticks of its clock.

    `end` is the time at which the last frame ends; `frames` is the number of frames, None where
    they were not counted; `rate` is the number of frames per second, None where it is that of the
    frames, or of the header. The `clock` is `restarting` where the file's times decrease or jump,
    and `counted` where they say nothing.

    `skipped_by_seek(index, position, target)` estimates how many frames a seek from `position` to
    `target` would not decode. `keyframe(index, target)` estimates when the last keyframe at or
    before `target` is displayed, None where that is unknown. Both need a `stored` clock.
    """

    end: int
    frames: int | None
    skipped_by_seek: Callable[[IndexEntries, int, int], int]
    keyframe: Callable[[IndexEntries, int], int | None]
    rate: float | None = None
    clock: Literal["stored", "restarting", "counted"] = "stored"


def last_up_to(times: Sequence[int], target: int) -> int | None:
    """Return the last of the sorted times that is not after the target."""
    count = bisect_right(times, target)
    return times[count - 1] if count else None
