"""Memory of this process: whether the system gives more, and giving back what is free."""

import ctypes
import mmap
from contextlib import suppress
from typing import NoReturn

import anyio
from anyio import to_thread

from app.errors import ResourcesExhausted
from app.lifecycle.control_group import memory_left

# What a request needs besides its video: frames, pixels, activations of the encoder.
_NEEDED_BYTES = 64 * 1024 * 1024


def check_memory(needed_bytes: int = _NEEDED_BYTES) -> None:
    """Ask for memory, and give it back unused. Raises ResourcesExhausted if it is refused.

    It is refused by a limit on the address space (`ulimit -v`) and where the system does not
    overcommit. In a container the kernel refuses nothing and ends processes, so that what its
    limit leaves is read.
    """
    left = memory_left()
    if left is not None and left < needed_bytes:
        raise ResourcesExhausted("the container's memory is used up; try again later")
    try:
        mmap.mmap(-1, needed_bytes).close()
    except (OSError, MemoryError) as error:
        raise ResourcesExhausted("no memory is left for a request; try again later") from error


def release_free_memory() -> None:
    """Give memory that was freed back to the operating system, where the C library can (glibc)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


async def keep_releasing_memory(interval_seconds: float = 60.0) -> NoReturn:
    """Call `release_free_memory` in a thread at this interval.

    glibc gives each thread an arena of its own and keeps what is freed in it, so that the process
    would grow with the number of threads that have ever worked on something large.
    """
    while True:
        await anyio.sleep(interval_seconds)
        await to_thread.run_sync(release_free_memory)
