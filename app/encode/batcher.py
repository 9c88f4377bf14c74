"""The one place in front of the encoder: a bounded queue that threads of its own empty."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio
import numpy as np
import numpy.typing as npt

from model import FrameBatch

Embedding = npt.NDArray[np.float32]
# Weight of the newest run in the running mean of how long one takes.
_NEWEST = 0.2


@dataclass(frozen=True, slots=True)
class _Item:
    frames: FrameBatch
    deadline: float
    answer: "asyncio.Future[Embedding]"


class Batcher:
    """Runs `embed` on what is waiting; an async context manager.

    `threads` runs go on at once, each of at most `most_together` videos. A thread that has fewer
    waits for more, but only `linger_seconds`, and not at all where a deadline is near. On a
    CPU one video at a time on one core each was fastest; a GPU wants many at once. `prepare` is
    called first in each thread.
    """

    def __init__(
        self,
        embed: Callable[[Sequence[FrameBatch]], Embedding],
        *,
        threads: int,
        most_together: int = 1,
        linger_seconds: float = 0.0,
        queue_size: int = 256,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self._embed = embed
        self._threads = threads
        self._most_together = most_together
        self._linger_seconds = linger_seconds
        self._waiting: asyncio.Queue[_Item] = asyncio.Queue(queue_size)
        self._executor = ThreadPoolExecutor(threads, "encode", prepare)
        self._lanes: list[asyncio.Task[None]] = []
        self._run_seconds = 0.0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._lanes = [loop.create_task(self._work()) for _ in range(self._threads)]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        self._executor.shutdown(cancel_futures=True)

    async def embed(self, frames: FrameBatch) -> Embedding:
        """One window's (dim,) float32 unit embedding; waits while the queue is full.

        The deadline is that of the anyio scope around the call. What is cancelled or late before
        its turn is never run. Raises TimeoutError where it was late, and what `embed` raises.
        """
        answer: asyncio.Future[Embedding] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Item(frames, anyio.current_effective_deadline(), answer))
        return await answer

    async def _work(self) -> None:
        while True:
            await self._run(await self._next_items())

    async def _run(self, items: Sequence[_Item]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        frames = [item.frames for item in items]
        try:
            rows = await loop.run_in_executor(self._executor, self._embed, frames)
        except Exception as error:  # whatever it was, it is told to those who asked
            for item in items:
                if not item.answer.done():
                    item.answer.set_exception(error)
            return
        self._run_seconds += _NEWEST * (loop.time() - started - self._run_seconds)
        for item, row in zip(items, rows, strict=True):
            if not item.answer.done():
                item.answer.set_result(row)

    async def _next_items(self) -> list[_Item]:
        """At least one that is still wanted."""
        while not self._is_wanted(first := await self._waiting.get()):
            pass
        items = [first]
        loop = asyncio.get_running_loop()
        closes = loop.time() + self._linger_seconds
        while len(items) < self._most_together:
            # twice: the mean is only a guess
            latest = items[-1].deadline - 2 * self._run_seconds - self._linger_seconds
            closes = min(closes, latest)
            try:
                async with asyncio.timeout_at(closes):
                    item = await self._waiting.get()
            except TimeoutError:
                break
            if self._is_wanted(item):
                items.append(item)
        return [item for item in items if self._is_wanted(item)] or await self._next_items()

    def _is_wanted(self, item: _Item) -> bool:
        if item.answer.done():
            return False
        if asyncio.get_running_loop().time() >= item.deadline:
            item.answer.set_exception(TimeoutError("late before the encoder had time for it"))
            return False
        return True
