"""What all decode jobs on one video may cost together."""

import os
from dataclasses import replace
from typing import Self

from model.video.cost import Allowance, allowance, too_expensive

# A thread of the decoder has a stack and frames of its own: of 4K, up to 25 MB each.
_THREAD_BYTES = 200_000_000


class VideoBudget:
    """The processor time left for one video; the jobs of one request share it.

    `next_job` returns what the next job may cost: at most what is left, and `max_job_seconds` of
    processor time.
    """

    def __init__(self, allowed: Allowance, max_job_seconds: float) -> None:
        self._allowed = allowed
        self._max_job_seconds = max_job_seconds
        self._left = allowed.cpu_seconds

    @classmethod
    def of(cls, fd: int, *, factor: float, max_job_seconds: float) -> Self:
        """Return the budget that follows from the size of the video with descriptor `fd`."""
        return cls(allowance(os.fstat(fd).st_size, factor), max_job_seconds)

    def next_job(self) -> Allowance:
        """Return what the next job may cost. Raises ExpensiveVideo if nothing is left."""
        if self._left <= 0:
            raise too_expensive("processor time")
        return replace(self._allowed, cpu_seconds=min(self._left, self._max_job_seconds))

    def threads(self, wanted: int) -> int:
        """Return with how many threads to decode: as many as wanted, if they fit into memory."""
        return max(1, min(wanted, self._allowed.memory_bytes // _THREAD_BYTES))

    @property
    def spent_seconds(self) -> float:
        """Processor time of the jobs so far, in seconds."""
        return self._allowed.cpu_seconds - self._left

    def spend(self, cpu_seconds: float) -> None:
        """Subtract the processor time of a job."""
        self._left -= cpu_seconds
