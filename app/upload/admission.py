"""Admission control: bounds how many requests upload, queue and work at once."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio

from app.errors import Overloaded
from app.fairness.fair_queue import FairQueue
from app.fairness.requesters import Requester, current_requester
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


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    client: str
    permitted: "asyncio.Future[None]"


class Admission:
    """A bounded queue in front of permits to decode and encode; clients are served in rotation.

    A client holds `slots` permits at most; all clients together hold a third more, so that another
    client's request begins while one client has as many as it can. A client sends at most half of
    `max_uploads` at once.

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
        self._max_permits = slots + max(1, slots // 3)
        self._held: Counter[str] = Counter()
        self._queue: FairQueue[_Waiter] = FairQueue()
        self._uploads: Counter[str] = Counter()
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
        if self._is_queue_full(current_requester().client):
            raise self._overloaded(f"the queue is full: {self._waiting} requests are waiting")
        if self._uploading >= self._max_uploads:
            raise self._overloaded(f"{self._uploading} uploads are being received")
        # a client whose uploads never end leaves half of the places to others
        own = self._uploads[current_requester().client]
        if own >= max(1, self._max_uploads // 2):
            raise self._overloaded(f"{own} uploads of this client are being received")
        self._refuse_if_late(self._max_wait_seconds)

    @contextmanager
    def upload(self) -> Generator[None]:
        """Admit one upload for the block. Raises Overloaded when it is refused.

        An admitted request is not refused later because the queue is full, which would waste its
        upload. Therefore up to `queue_size + max_uploads` requests can wait.
        """
        self.check()
        client = current_requester().client
        self._uploads[client] += 1
        self._notify()
        try:
            yield
        finally:
            self._uploads -= Counter([client])
            self._notify()

    @asynccontextmanager
    async def permit(self, *, is_started: bool = False) -> AsyncGenerator[None]:
        """Hold a permit to decode and encode inside the block; wait for one first.

        Raises Overloaded at once when the work would probably not be done before the deadline of
        the anyio scope around the call. A video that `is_started` is never refused.
        """
        if not is_started:
            self._refuse_if_late(anyio.current_effective_deadline() - anyio.current_time())
        requester = current_requester()
        with stage("queue"):
            await self._acquire(requester)
        self._notify()
        started = self._clock()
        try:
            yield
        finally:
            self._release(requester.client)
            self._last_release = self._clock()
            self._notify()
            seconds = self._last_release - started
            self._permit_seconds += _NEWEST_WEIGHT * (seconds - self._permit_seconds)

    @property
    def _uploading(self) -> int:
        return self._uploads.total()

    @property
    def _working(self) -> int:
        return self._held.total()

    @property
    def _waiting(self) -> int:
        return len(self._queue)

    @property
    def _ahead(self) -> int:
        """Number of requests that a new one of the current client would wait for."""
        client = current_requester().client
        working = 0 if self._may_have(client) else self._working
        return self._queue.ahead_of(client) + self._uploading + working

    def _may_have(self, client: str) -> bool:
        """Whether a client may have another permit now."""
        return self._held[client] < self._slots and self._working < self._max_permits

    def _is_queue_full(self, client: str) -> bool:
        """Whether the queue is full and the client has its share of it already."""
        clients = len({*self._queue.clients, client})
        has_share = self._queue.waiting_of(client) >= self._queue_size / clients
        return has_share and self._waiting >= self._queue_size

    async def _acquire(self, requester: Requester) -> None:
        if not self._queue.waiting_of(requester.client) and self._may_have(requester.client):
            self._held[requester.client] += 1
            return
        waiter = _Waiter(requester.client, asyncio.get_running_loop().create_future())
        self._queue.push(waiter, requester)
        self._notify()
        try:
            await waiter.permitted
        except BaseException:  # cancelled, perhaps when the permit was just given
            self._queue.remove(waiter, requester)
            if waiter.permitted.done() and not waiter.permitted.cancelled():
                self._release(requester.client)
            raise
        finally:
            self._notify()

    def _release(self, client: str) -> None:
        """Take a permit back, and give permits to the requests that wait."""
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]
        while any(map(self._may_have, self._queue.clients)):
            waiter = self._queue.pop(self._may_have)
            if not waiter.permitted.done():
                self._held[waiter.client] += 1
                waiter.permitted.set_result(None)

    def _notify(self) -> None:
        self._on_change(self._uploading, self._waiting, self._working)

    def _refuse_if_late(self, within_seconds: float) -> None:
        expected = self.wait_seconds + self._permit_seconds
        if self._ahead and expected > _SAFE_SHARE * within_seconds:
            raise self._overloaded("the wait would exceed the request's deadline")

    def _overloaded(self, detail: str) -> Overloaded:
        retry_after = min(_MAX_RETRY_SECONDS, max(1, math.ceil(self.wait_seconds)))
        return Overloaded(detail, retry_after_seconds=retry_after)
