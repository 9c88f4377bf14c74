"""When a request is sent again, and after how long."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from kinolex_client.errors import Problem
from kinolex_client.problems import (
    LabelsNotReady,
    NotReady,
    Overloaded,
    QuotaExceeded,
    ShuttingDown,
    StoreUnavailable,
)

# The service did none of the work. After `DeadlineExceeded` it did, and would do it again.
_REFUSED = (LabelsNotReady, NotReady, Overloaded, QuotaExceeded, ShuttingDown, StoreUnavailable)
_FIRST_WAIT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request is sent again, and how long the client waits at most each time.

    A refusal whose `Retry-After` exceeds `max_wait_seconds` is raised at once.
    """

    max_retries: int = 4
    max_wait_seconds: float = 60.0

    def wait_seconds(self, attempt: int, problem: Problem | None) -> float | None:
        """Return the time before the next attempt; None: raise the failure.

        `attempt` counts from 0; `problem` is None where no connection could be made.
        """
        if attempt >= self.max_retries:
            return None
        if problem is None:
            # without jitter, clients that lost one service come back at the same moment
            return min(_FIRST_WAIT_SECONDS * 2.0**attempt, self.max_wait_seconds) * _jitter()
        if not isinstance(problem, _REFUSED):
            return None
        least = problem.retry_after or _FIRST_WAIT_SECONDS
        return least * _jitter() if least <= self.max_wait_seconds else None


def _jitter() -> float:
    return 1 + random.random() / 4


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of Retry-After, which the service never gives as a date."""
    value = headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
