"""Memory layout of one job: its times, then its frames from the next page boundary on.

Pools and workers both use it.
"""

import math
import mmap

import numpy as np
from numpy.typing import NDArray

_PAGE_BYTES = mmap.ALLOCATIONGRANULARITY


def whole_pages(size: int) -> int:
    """Round a size in bytes up to whole pages."""
    return -(-size // _PAGE_BYTES) * _PAGE_BYTES


def frames_offset(count: int) -> int:
    """Return the offset in bytes of the frames, which follow `count` times."""
    return whole_pages(count * np.dtype(np.float64).itemsize)


def times_and_frames(
    memory: mmap.mmap | memoryview | NDArray[np.uint8], shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return views of the times, float64 (T,), and frames, uint8 (T, H, W, 3), in a job's memory.

    `shape` is that of the frames. Raises ValueError if the memory is too small for it.
    """
    times = np.frombuffer(memory, np.float64, shape[0])
    frames = np.frombuffer(memory, np.uint8, math.prod(shape), offset=frames_offset(shape[0]))
    return times, frames.reshape(shape)
