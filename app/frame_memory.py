"""A memory file through which a worker hands over frames."""

import fcntl
import mmap
import os
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.decode_worker import frames_start, views
from app.worker_pool import Answer
from model import CorruptVideo
from model.video import FrameBatch

# `model.video` makes no picture longer than four times its short side.
_MAX_PIXEL_BYTES = 4 * 3


class FrameMemory:
    """A memory file for times and frames, of a size that a worker cannot change."""

    def __init__(self, count: int, short_side: int) -> None:
        self.count = count
        self._start = frames_start(count)
        self._size = self._start + count * short_side * short_side * _MAX_PIXEL_BYTES
        self.fd = os.memfd_create("frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        # Only pages that are written to take memory.
        os.ftruncate(self.fd, self._size)
        fcntl.fcntl(
            self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def set_times(self, times: NDArray[np.float64]) -> None:
        os.pwrite(self.fd, times.tobytes(), 0)

    def batch(self, answer: Answer) -> FrameBatch:
        """The frames that the worker left here, without a copy."""
        height, width = answer.size
        length = self._start + self.count * height * width * 3
        if min(height, width) < 1 or length > self._size:
            raise CorruptVideo("the decoder died on this video")
        # Private: what a worker writes after its answer cannot change what was written to.
        memory = mmap.mmap(self.fd, length, flags=mmap.MAP_PRIVATE)
        times, frames = views(memory, (self.count, height, width, 3))
        return FrameBatch(frames, times, answer.warnings)
