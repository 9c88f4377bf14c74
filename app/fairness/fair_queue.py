"""Queues that serve clients in rotation, and the requests of a client in rotation too."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from app.fairness.requesters import Requester, current_requester

_Item = TypeVar("_Item")


class FairQueue(Generic[_Item]):
    """Items of several requesters; each client waits for one item of every other at most.

    Items of one request keep their order. Every method takes constant time, or time proportional to
    the number of waiting clients.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[str, OrderedDict[Requester, deque[_Item]]] = OrderedDict()
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    def push(self, item: _Item, requester: Requester) -> None:
        """Append an item to the line of its request."""
        lines = self._lines.setdefault(requester.client, OrderedDict())
        lines.setdefault(requester, deque()).append(item)
        self._counts[requester.client] = self._counts.get(requester.client, 0) + 1

    def pop(self, may_have: Callable[[str], bool] = lambda client: True) -> _Item:
        """Remove the next item of a client that `may_have` one. Raises IndexError without one."""
        client = next(filter(may_have, self._lines), None)
        if client is None:
            raise IndexError("no item for these clients")
        lines = self._lines[client]
        requester, line = next(iter(lines.items()))
        item = line.popleft()
        lines.move_to_end(requester)
        self._lines.move_to_end(client)
        self._counts[client] -= 1
        if not line:
            del lines[requester]
        if not lines:
            del self._lines[client], self._counts[client]
        return item

    def remove(self, item: _Item, requester: Requester) -> None:
        """Remove an item that was pushed for this requester, if it is still there."""
        lines = self._lines.get(requester.client, OrderedDict())
        line = lines.get(requester, deque())
        if item in line:
            line.remove(item)
            self._counts[requester.client] -= 1
            if not line:
                del lines[requester]
            if not lines:
                del self._lines[requester.client], self._counts[requester.client]

    def waiting_of(self, client: str) -> int:
        """Return the number of items of one client."""
        return self._counts.get(client, 0)

    def ahead_of(self, client: str) -> int:
        """Return how many items are served before the next one that this client would push."""
        own = self.waiting_of(client)
        return own + sum(min(n, own + 1) for who, n in self._counts.items() if who != client)

    @property
    def clients(self) -> Iterable[str]:
        """The clients that have items."""
        return self._lines.keys()


class FairAsyncQueue(asyncio.Queue[_Item]):
    """An asyncio queue in the order of `FairQueue`; items belong to the task's requester."""

    _queue: FairQueue[Any]

    def _init(self, maxsize: int) -> None:
        self._queue = FairQueue()

    def _get(self) -> Any:
        return self._queue.pop()

    def _put(self, item: Any) -> None:
        self._queue.push(item, current_requester())
