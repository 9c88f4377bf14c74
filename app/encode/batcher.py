"""Queues videos for the encoder and encodes them in batches, in threads."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio
import numpy as np
import numpy.typing as npt

from app.fairness.fair_queue import FairAsyncQueue

Frames = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]
# Weight of the newest batch in the moving average of the seconds per batch.
_NEWEST_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class _Item:
    frames: Frames
    deadline: float
    answer: "asyncio.Future[Features]"


class Batcher:
    """Collects calls of `encode` into batches and runs them in threads; an async context manager.

    The argument `encode` maps the frames of B videos to (B, N, F) float32 features. Up to `threads`
    batches run at once, each of at most `max_batch_size` videos. An incomplete batch waits for
    more videos, at most `linger_seconds` and not beyond what its deadlines allow. A CPU is fastest
    with one video at a time on each core, a GPU with large batches. At most `queue_size` videos
    wait; clients are served in rotation, and so are the requests of a client. `prepare` is called
    once in each thread before its first batch.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[Frames]], Features],
        *,
        threads: int,
        max_batch_size: int = 1,
        linger_seconds: float = 0.0,
        queue_size: int = 256,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self._encode = encode
        self._threads = threads
        self._max_batch_size = max_batch_size
        self._linger_seconds = linger_seconds
        self._waiting: FairAsyncQueue[_Item] = FairAsyncQueue(queue_size)
        self._executor = ThreadPoolExecutor(threads, "encode", prepare)
        self._tasks: list[asyncio.Task[None]] = []
        self._run_seconds = 0.0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run_batches()) for _ in range(self._threads)]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._executor.shutdown(cancel_futures=True)

    async def encode(self, frames: Frames) -> Features:
        """Return the (N, F) float32 features of the (T, H, W, 3) frames of one video.

        Waits while the queue is full. The deadline is that of the surrounding anyio scope. A video
        whose call is cancelled, or whose deadline passes, before its batch starts is not encoded.
        Raises TimeoutError when the deadline passes in the queue, and every error that the batch's
        `encode` raises.
        """
        answer: asyncio.Future[Features] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Item(frames, anyio.current_effective_deadline(), answer))
        return await answer

    async def _run_batches(self) -> None:
        while True:
            await self._run(await self._next_batch())

    async def _run(self, items: Sequence[_Item]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        frames = [item.frames for item in items]
        try:
            rows = await loop.run_in_executor(self._executor, self._encode, frames)
        except Exception as error:  # noqa: BLE001  # the callers of this batch get it
            for item in items:
                if not item.answer.done():
                    item.answer.set_exception(error)
            return
        self._run_seconds += _NEWEST_WEIGHT * (loop.time() - started - self._run_seconds)
        for item, row in zip(items, rows, strict=True):
            if not item.answer.done():
                item.answer.set_result(row)

    async def _next_batch(self) -> list[_Item]:
        """Wait for the next batch: one or more videos whose callers still wait."""
        while not self._is_awaited(first := await self._waiting.get()):
            pass
        items = [first]
        loop = asyncio.get_running_loop()
        closes = loop.time() + self._linger_seconds
        while len(items) < self._max_batch_size:
            # Twice the average, because a batch may take longer than usual.
            latest = items[-1].deadline - 2 * self._run_seconds - self._linger_seconds
            closes = min(closes, latest)
            try:
                async with asyncio.timeout_at(closes):
                    item = await self._waiting.get()
            except TimeoutError:
                break
            if self._is_awaited(item):
                items.append(item)
        return [item for item in items if self._is_awaited(item)] or await self._next_batch()

    def _is_awaited(self, item: _Item) -> bool:
        if item.answer.done():
            return False
        if asyncio.get_running_loop().time() >= item.deadline:
            item.answer.set_exception(
                TimeoutError("the deadline passed before the encoder was free")
            )
            return False
        return True
