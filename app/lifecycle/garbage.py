"""Freezing: exempting what is loaded from garbage collection, for as long as a block runs."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

# Held by the block whose objects are frozen.
_freezes = Lock()


@contextmanager
def freezing() -> Iterator[bool]:
    """Unfreeze all objects at the end of the block; yields whether the block may freeze some.

    It may not within another such block, whose objects stay frozen.
    """
    may_freeze = _freezes.acquire(blocking=False)
    try:
        yield may_freeze
    finally:
        if may_freeze:
            gc.unfreeze()
            _freezes.release()
