"""100 ms scheduler time slices for the threads that decode and encode videos.

Where videos are decoded and encoded on the same cores, the kernel's default slices of a few
milliseconds alternate between the two, and each finds the caches filled with the other's data. A
video's result is of use only when all of it is done, so longer slices cost no latency. Linux 6.12
or newer; no effect elsewhere. See sched_setattr(2), "slice" in the kernel's sched-eevdf
documentation, and docs/decisions/0019-decoders-and-encoders-ask-for-long-time-slices.md.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Generator
from contextlib import contextmanager

# The maximum that the kernel grants; about the time that one video takes to decode or encode.
_SLICE_NANOSECONDS = 100_000_000
# sched_setattr has no function in older C libraries.
_SYSTEM_CALLS = {"x86_64": 314, "aarch64": 274}
# struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")
_SCHED_OTHER, _SCHED_BATCH = 0, 3


def use_long_time_slices() -> None:
    """Give the calling thread 100 ms time slices, which its later threads and children inherit."""
    _set(_SCHED_BATCH, _SLICE_NANOSECONDS)


@contextmanager
def long_time_slices() -> Generator[None]:
    """Give 100 ms time slices to the calling thread within the block.

    Threads that it starts within the block inherit them and keep them.
    """
    use_long_time_slices()
    try:
        yield
    finally:
        _set(_SCHED_OTHER, 0)


def _set(policy: int, slice_nanoseconds: int) -> None:
    call = _SYSTEM_CALLS.get(platform.machine())
    if sys.platform != "linux" or call is None:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _SCHED_ATTR.pack(_SCHED_ATTR.size, policy, 0, nice, 0, slice_nanoseconds, 0, 0)
    # A sandbox may refuse the call. The result is ignored: the default slices only cost time.
    ctypes.CDLL(None).syscall(ctypes.c_long(call), 0, ctypes.c_char_p(attributes), 0)
