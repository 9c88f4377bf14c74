"""Who may work now, who waits, and who is told when to come again."""

import math
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio

from app.errors import Overloaded
from app.observe.timings import stage

_FIRST_GUESS_SECONDS = 0.5
# Weight of the newest turn in the running mean: about the last twenty count.
_NEWEST = 0.1
_LONGEST_RETRY_SECONDS = 60
# Turns differ: who is expected to need more than this share of the deadline may well miss it.
_SAFE_SHARE = 0.75
# A client that sends one video after the other leaves gaps between them.
_IN_USE_SECONDS = 2.0


class Admission:
    """A bounded queue in front of a few places to work, first come first served.

    A request is let in before its body is read, so that refusing costs nothing. It then takes
    turns: one for a whole video, one for each group of windows of a long one, so that a film of
    four hours does not keep short videos waiting. `on_change` is told how many upload, wait and
    work.
    """

    def __init__(
        self,
        *,
        places: int,
        queue_size: int,
        max_uploads: int,
        longest_wait_seconds: float,
        on_change: Callable[[int, int, int], None] = lambda uploading, waiting, working: None,
    ) -> None:
        self._on_change = on_change
        self._places = places
        self._queue_size = queue_size
        self._max_uploads = max_uploads
        self._longest_wait_seconds = longest_wait_seconds
        self._working = anyio.Semaphore(places)
        self._waiting = 0
        self._uploading = 0
        self._turn_seconds = _FIRST_GUESS_SECONDS
        self._last_turn = -math.inf

    @property
    def wait_seconds(self) -> float:
        """How long a newcomer would wait, from the rate at which recent turns came to an end."""
        return self._ahead * self._turn_seconds / self._places

    @property
    def _ahead(self) -> int:
        busy = self._places - self._working.value
        return self._waiting + self._uploading + (busy if busy == self._places else 0)

    @property
    def is_in_use(self) -> bool:
        """Whether a video is here, or was in the last seconds; may be asked from any thread."""
        is_empty = self._working.value == self._places and not self._waiting + self._uploading
        return not is_empty or time.monotonic() - self._last_turn < _IN_USE_SECONDS

    @property
    def is_alone(self) -> bool:
        """Whether whoever asks is the only one at work, with nobody waiting or sending."""
        return self._places - self._working.value <= 1 and not self._waiting + self._uploading

    @contextmanager
    def upload(self) -> Generator[None]:
        """Room for one more body. Raises Overloaded when there is none, or no place to wait.

        Nobody who was let in here is sent away later because the queue is full: that would cost
        the caller an upload. So at most `queue_size` and `max_uploads` videos wait.
        """
        if self._waiting >= self._queue_size:
            raise self._overloaded(f"{self._waiting} videos are waiting")
        if self._uploading >= self._max_uploads:
            raise self._overloaded(f"{self._uploading} uploads are coming in")
        self._refuse_when_late(self._longest_wait_seconds)
        self._uploading += 1
        self._tell()
        try:
            yield
        finally:
            self._uploading -= 1
            self._tell()

    @asynccontextmanager
    async def permit(self, *, is_started: bool = False) -> AsyncGenerator[None]:
        """Hold a permit to decode and encode inside the block; wait for one first.

        Raises Overloaded at once when the work would probably not be done before the deadline of
        the anyio scope around the call. A video that `is_started` is never refused.
        """
        if not is_started:
            self._refuse_when_late(anyio.current_effective_deadline() - anyio.current_time())
        with stage("queue"):
            await self._acquire()
        self._tell()
        started = time.monotonic()
        try:
            yield
        finally:
            self._working.release()
            self._last_turn = time.monotonic()
            self._tell()
            self._turn_seconds += _NEWEST * (time.monotonic() - started - self._turn_seconds)

    async def _acquire(self) -> None:
        try:
            self._working.acquire_nowait()
        except anyio.WouldBlock:
            self._waiting += 1
            self._tell()
            try:
                await self._working.acquire()
            finally:
                self._waiting -= 1
                self._tell()

    def _tell(self) -> None:
        busy = self._places - self._working.value
        self._on_change(self._uploading, self._waiting, busy)

    def _refuse_when_late(self, within_seconds: float) -> None:
        expected = self.wait_seconds + self._turn_seconds
        if self._ahead and expected > _SAFE_SHARE * within_seconds:
            raise self._overloaded("the wait would outlast the request's deadline")

    def _overloaded(self, detail: str) -> Overloaded:
        retry_after = min(_LONGEST_RETRY_SECONDS, max(1, math.ceil(self.wait_seconds)))
        return Overloaded(detail, retry_after_seconds=retry_after)
