"""Which jobs run, and how many of them are short so far."""

import time
from typing import Generic, TypeVar

_Worker = TypeVar("_Worker")
# Ten times what a clip of 10 s at 340x256 takes; a job that runs longer lets others begin beside
# it.
_LONG_JOB_SECONDS = 0.25


class RunningJobs(Generic[_Worker]):
    """The jobs of a pool with `places`, which are for jobs that began in the last 0.25 s."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._begun: dict[_Worker, float] = {}

    def __len__(self) -> int:
        return len(self._begun)

    @property
    def has_place(self) -> bool:
        """Whether another job may begin."""
        if len(self._begun) < self._places:
            return True
        latest = time.monotonic() - _LONG_JOB_SECONDS
        return sum(begun > latest for begun in self._begun.values()) < self._places

    def begin(self, worker: _Worker) -> None:
        """Note that this worker begins a job."""
        self._begun[worker] = time.monotonic()

    def end(self, worker: _Worker) -> None:
        """Note that this worker's job has ended; no effect without one."""
        self._begun.pop(worker, None)
