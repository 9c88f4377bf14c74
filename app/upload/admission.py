"""Admission control: bounds how many requests upload, queue and work at once."""

import math
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio

from app.errors import Overloaded
from app.observe.timings import stage

_INITIAL_PERMIT_SECONDS = 0.5
# Weight of the newest permit in the running mean, which covers about the last twenty.
_NEWEST_WEIGHT = 0.1
_MAX_RETRY_SECONDS = 60
# Permits vary in length: a request that is expected to need more than this share of the time until
# its deadline will probably miss it.
_SAFE_SHARE = 0.75
# A client that sends one video after another leaves gaps between them.
_IN_USE_SECONDS = 2.0


class Admission:
    """A bounded queue (first in, first out) in front of `slots` permits to decode and encode.

    A request is admitted before its body is read, so that a refusal costs no upload. A whole
    video needs one permit; segments need one for each batch of windows, so that short videos can
    overtake a long one. `on_change` is called with the numbers of uploads, of requests that wait
    for a permit, and of permits in use.
    """

    def __init__(
        self,
        *,
        slots: int,
        queue_size: int,
        max_uploads: int,
        max_wait_seconds: float,
        on_change: Callable[[int, int, int], None] = lambda uploading, waiting, working: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_change = on_change
        self._clock = clock
        self._slots = slots
        self._queue_size = queue_size
        self._max_uploads = max_uploads
        self._max_wait_seconds = max_wait_seconds
        self._free_slots = anyio.Semaphore(slots)
        self._waiting = 0
        self._uploading = 0
        self._permit_seconds = _INITIAL_PERMIT_SECONDS
        self._last_release = -math.inf

    @property
    def wait_seconds(self) -> float:
        """Expected seconds that a new request waits, from the mean duration of recent permits."""
        return self._ahead * self._permit_seconds / self._slots

    @property
    def is_in_use(self) -> bool:
        """Whether a request uploads, waits or holds a permit, or released one in the last 2 s.

        May be read from any thread.
        """
        is_idle = not self._working + self._waiting + self._uploading
        return not is_idle or self._clock() - self._last_release < _IN_USE_SECONDS

    @property
    def is_alone(self) -> bool:
        """Whether at most one permit is in use and no request waits or uploads."""
        return self._working <= 1 and not self._waiting + self._uploading

    def check(self) -> None:
        """Raise Overloaded if a new request would be refused now."""
        if self._waiting >= self._queue_size:
            raise self._overloaded(f"the queue is full: {self._waiting} requests are waiting")
        if self._uploading >= self._max_uploads:
            raise self._overloaded(f"{self._uploading} uploads are being received")
        self._refuse_if_late(self._max_wait_seconds)

    @contextmanager
    def upload(self) -> Generator[None]:
        """Admit one upload for the block. Raises Overloaded when it is refused.

        An admitted request is not refused later because the queue is full, which would waste its
        upload. Therefore up to `queue_size + max_uploads` requests can wait.
        """
        self.check()
        self._uploading += 1
        self._notify()
        try:
            yield
        finally:
            self._uploading -= 1
            self._notify()

    @asynccontextmanager
    async def permit(self, *, is_started: bool = False) -> AsyncGenerator[None]:
        """Hold a permit to decode and encode inside the block; wait for one first.

        Raises Overloaded at once when the work would probably not be done before the deadline of
        the anyio scope around the call. A video that `is_started` is never refused.
        """
        if not is_started:
            self._refuse_if_late(anyio.current_effective_deadline() - anyio.current_time())
        with stage("queue"):
            await self._acquire()
        self._notify()
        started = self._clock()
        try:
            yield
        finally:
            self._free_slots.release()
            self._last_release = self._clock()
            self._notify()
            seconds = self._last_release - started
            self._permit_seconds += _NEWEST_WEIGHT * (seconds - self._permit_seconds)

    @property
    def _working(self) -> int:
        return self._slots - self._free_slots.value

    @property
    def _ahead(self) -> int:
        """Number of requests that a new one would wait for."""
        is_full = self._working == self._slots
        return self._waiting + self._uploading + (self._working if is_full else 0)

    async def _acquire(self) -> None:
        try:
            self._free_slots.acquire_nowait()
        except anyio.WouldBlock:
            self._waiting += 1
            self._notify()
            try:
                await self._free_slots.acquire()
            finally:
                self._waiting -= 1
                self._notify()

    def _notify(self) -> None:
        self._on_change(self._uploading, self._waiting, self._working)

    def _refuse_if_late(self, within_seconds: float) -> None:
        expected = self.wait_seconds + self._permit_seconds
        if self._ahead and expected > _SAFE_SHARE * within_seconds:
            raise self._overloaded("the wait would exceed the request's deadline")

    def _overloaded(self, detail: str) -> Overloaded:
        retry_after = min(_MAX_RETRY_SECONDS, max(1, math.ceil(self.wait_seconds)))
        return Overloaded(detail, retry_after_seconds=retry_after)
