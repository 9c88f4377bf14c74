"""Whether the operating system gives this process more memory."""

import mmap

from app.errors import ResourcesExhausted

# What a request needs besides its video: frames, pixels, activations of the encoder.
_NEEDED_BYTES = 64 * 1024 * 1024


def check_memory(needed_bytes: int = _NEEDED_BYTES) -> None:
    """Ask for memory, and give it back unused. Raises ResourcesExhausted if it is refused.

    It is refused by a limit on the address space (`ulimit -v`) and where the system does not
    overcommit. A container's limit is not seen: the kernel ends processes there.
    """
    try:
        mmap.mmap(-1, needed_bytes).close()
    except (OSError, MemoryError) as error:
        raise ResourcesExhausted("no memory is left for a request; try again later") from error
