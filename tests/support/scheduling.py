"""What an encoder changes about the thread that it runs in."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_scheduling() -> Iterator[None]:
    """Give the calling thread back its scheduling policy at the end of the block.

    As root, SVT-AV1's encoder makes the thread that opens it real-time (SCHED_FIFO, priority 99).
    Each later process of that thread would be real-time too, and starve the rest of the computer.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameters)
