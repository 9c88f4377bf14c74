"""What waits: in a thread or by an event loop, for the asynchronous client and for the other."""

import time
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
from anyio import to_thread

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


async def async_sleep(seconds: float) -> None:
    """Wait on asyncio or trio."""
    await anyio.sleep(seconds)


def sync_sleep(seconds: float) -> None:
    """Wait in this thread."""
    time.sleep(seconds)


async def async_run(function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
    """Run a function that blocks in another thread."""
    return await to_thread.run_sync(function, *arguments)


def sync_run(function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
    """Run a function that blocks in this thread."""
    return function(*arguments)
