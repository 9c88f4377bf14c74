"""Blocking work in a thread that is told to stop when its request is cancelled."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from anyio import to_thread

_Result = TypeVar("_Result")


async def run_stoppable(
    work: Callable[[Callable[[], bool]], _Result],
    *,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
    meanwhile_seconds: float = 1.0,
) -> _Result:
    """Run `work` in a thread; `meanwhile` is awaited every `meanwhile_seconds` until it ends.

    `work` gets a function that returns True once this call was cancelled; what it returns or raises
    then is dropped. Cancelling does not wait for the thread, which counts against the limit of
    threads until its end.
    """
    cancelled = threading.Event()
    running = asyncio.ensure_future(to_thread.run_sync(work, cancelled.is_set))
    try:
        while not (await asyncio.wait({running}, timeout=meanwhile_seconds))[0]:
            if meanwhile is not None:
                await meanwhile()
        return running.result()
    finally:
        cancelled.set()
        # the error of a stopped thread is not reported as lost
        running.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
