"""Measures the seconds of each stage of the current request.

The current `Timings` is a context variable, so that functions need not pass it on. Tasks and
threads that a request starts record into the same value.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

# A long video has hundreds of batches of windows; a trace needs no more intervals than this.
_MAX_INTERVALS = 500

_current: ContextVar["Timings | None"] = ContextVar("timings", default=None)


class Timings:
    """Seconds in each stage of one request, in the order in which the stages began.

    `intervals` has (stage, begin, end) of the first _MAX_INTERVALS stages, in nanoseconds since the
    epoch.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.intervals: list[tuple[str, int, int]] = []

    def server_timing(self) -> str:
        """Return the value of a Server-Timing header, in milliseconds."""
        return ", ".join(f"{name};dur={1000 * s:.1f}" for name, s in self.seconds.items())


@contextmanager
def collect_timings() -> Generator[Timings]:
    """Make a new `Timings` the current one inside the block."""
    timings = Timings()
    token = _current.set(timings)
    try:
        yield timings
    finally:
        _current.reset(token)


def stage_seconds() -> dict[str, float]:
    """Return the seconds in each stage of the current request so far; empty if there is none."""
    timings = _current.get()
    return dict(timings.seconds) if timings is not None else {}


@contextmanager
def stage(name: str) -> Generator[None]:
    """Add the block's time to a stage of the current request, if there is one."""
    timings = _current.get()
    if timings is None:
        yield
        return
    began, started = time.time_ns(), time.perf_counter()
    timings.seconds.setdefault(name, 0.0)
    try:
        yield
    finally:
        spent = time.perf_counter() - started
        timings.seconds[name] += spent
        if len(timings.intervals) < _MAX_INTERVALS:
            timings.intervals.append((name, began, began + round(spent * 1e9)))
