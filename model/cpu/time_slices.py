"""Longer turns on a processor core, for work of which nothing counts before it is done.

Where videos are decoded and encoded on the same cores, the kernel changes between them every few
milliseconds, and each finds the caches full of the other's numbers. Turns are of use where the
kernel knows them: sched_setattr(2), and "slice" in the kernel's sched-eevdf documentation; Linux
6.12 or newer. Elsewhere nothing changes.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Generator
from contextlib import contextmanager

# As long as one video's decoding or encoding usually takes; the kernel's longest.
_TURN_NANOSECONDS = 100_000_000
# sched_setattr has no function in older C libraries.
_SYSTEM_CALLS = {"x86_64": 314, "aarch64": 274}
# struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")
_OTHER, _BATCH = 0, 3


def take_long_turns() -> None:
    """For the calling thread from here on, and the threads and processes that it starts."""
    _set(_BATCH, _TURN_NANOSECONDS)


@contextmanager
def long_turns() -> Generator[None]:
    """For the threads that the calling thread starts in the block, and itself as long."""
    take_long_turns()
    try:
        yield
    finally:
        _set(_OTHER, 0)


def _set(policy: int, turn_nanoseconds: int) -> None:
    call = _SYSTEM_CALLS.get(platform.machine())
    if sys.platform != "linux" or call is None:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _SCHED_ATTR.pack(_SCHED_ATTR.size, policy, 0, nice, 0, turn_nanoseconds, 0, 0)
    # a refusal, as some sandboxes have it, costs only time
    ctypes.CDLL(None).syscall(ctypes.c_long(call), 0, ctypes.c_char_p(attributes), 0)
