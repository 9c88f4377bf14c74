"""Shared memory into which workers write frames.

Each worker keeps memory for a usual job, whose pages are allocated already; the frames are copied
out of it before they are used. A larger job gets a memory file of its own, which is sealed before
its frames are used. A worker that a hostile video has taken over can therefore change no frame of
an earlier job. No memory is ever shared with two decode workers.
"""

import fcntl
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.decode.frame_layout import frames_offset, times_and_frames, whole_pages
from app.decode.protocol import MAX_SECONDS
from app.decode.wire import ProtocolError
from model.video.frame_scaler import max_frame_bytes
from model.video.reader import FrameBatch


def _max_job_bytes(count: int, short_side: int) -> int:
    """Return the bytes of memory for a job's times and frames, whatever the aspect ratio."""
    return frames_offset(count) + whole_pages(count * max_frame_bytes(short_side))


def _memory_file(size: int) -> int:
    """Return the descriptor of a new writable memory file, sealed at this size in bytes."""
    fd = os.memfd_create("frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    # Only pages that were written to occupy memory.
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


@dataclass(frozen=True, slots=True)
class FrameShape:
    """Number, height and width of the frames that a worker claims to have written."""

    count: int
    height: int
    width: int

    def length(self, short_side: int, available: int) -> int:
        """Return the bytes of the times and frames.

        Raises ProtocolError if they are over `available`, or the short side is another.
        """
        length = frames_offset(self.count) + self.count * self.height * self.width * 3
        if min(self.height, self.width) != short_side or length > available:
            raise ProtocolError(f"{self}: not of short side {short_side} in {available} bytes")
        return length

    def batch(self, memory: mmap.mmap | NDArray[np.uint8], warnings: tuple[str, ...]) -> FrameBatch:
        """Return the times, copied, and the frames in this memory, without a copy.

        The memory is freed with the frames: an answer keeps the times for longer. Raises
        ProtocolError for times that no video has.
        """
        times, frames = times_and_frames(memory, (self.count, self.height, self.width, 3))
        if not (np.abs(times) < MAX_SECONDS).all():  # false for NaN too
            raise ProtocolError("times out of range")
        return FrameBatch(frames, times.copy(), warnings)


class FrameFile:
    """A memory file for the times and frames of one job; a context manager.

    The frames that `batch` returns stay valid after the file is closed.
    """

    def __init__(self, times: NDArray[np.float64], short_side: int) -> None:
        self._count = times.size
        self._short_side = short_side
        self._size = _max_job_bytes(times.size, short_side)
        self.fd = _memory_file(self._size)
        os.pwrite(self.fd, times.tobytes(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self.fd)

    def batch(self, height: int, width: int, warnings: tuple[str, ...] = ()) -> FrameBatch:
        """Return the worker's frames, without a copy, and their times.

        Raises ProtocolError if they do not fit, or if a worker could still change them.
        """
        shape = FrameShape(self._count, height, width)
        length = shape.length(self._short_side, self._size)
        try:
            # fails while any process has the file mapped to write
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)
        except OSError as error:
            raise ProtocolError("a worker keeps the frames of a finished job") from error
        # private, so that the caller may change the frames
        return shape.batch(mmap.mmap(self.fd, length, flags=mmap.MAP_PRIVATE), warnings)


class FrameSlot:
    """Memory that one worker keeps, for one job at a time of at most `count` frames.

    `short_side` is that of the frames, in pixels.
    """

    def __init__(self, count: int, short_side: int) -> None:
        self._size = _max_job_bytes(count, short_side)
        self.fd = _memory_file(self._size)
        self._memory = mmap.mmap(self.fd, self._size)
        self._count, self._short_side = count, short_side

    def close_file(self) -> None:
        """Close the descriptor after the worker has inherited it; the mapping stays."""
        os.close(self.fd)

    def offer(self, times: NDArray[np.float64], short_side: int) -> bool:
        """Write the next job's times; return False if the job is too large."""
        if _max_job_bytes(times.size, short_side) > self._size:
            return False
        self._count, self._short_side = times.size, short_side
        self._memory[: times.nbytes] = times.tobytes()
        return True

    def batch(self, height: int, width: int, warnings: tuple[str, ...] = ()) -> FrameBatch:
        """Return a copy of the worker's frames. Raises ProtocolError if they do not fit."""
        shape = FrameShape(self._count, height, width)
        length = shape.length(self._short_side, self._size)
        return shape.batch(np.frombuffer(self._memory, np.uint8, length).copy(), warnings)


@dataclass(frozen=True, slots=True)
class Allocation:
    """Where a job's memory is: in what the worker keeps, or in a file whose descriptor is sent."""

    in_kept_memory: bool
    fds: Sequence[int]


class JobMemory:
    """Memory for one job's times and frames, allocated once a worker is chosen.

    A context manager. The frames that `batch` returns stay valid after it ends.
    """

    def __init__(self, times: NDArray[np.float64], short_side: int) -> None:
        self._times = times
        self._short_side = short_side
        self._memory: FrameFile | FrameSlot | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def allocate(self, slot: FrameSlot | None) -> Allocation:
        """Allocate memory that the worker with this slot can write to, with the times in it."""
        self._release()
        if slot is not None and slot.offer(self._times, self._short_side):
            self._memory = slot
            return Allocation(True, ())
        self._memory = file = FrameFile(self._times, self._short_side)
        return Allocation(False, (file.fd,))

    def batch(self, height: int, width: int, warnings: tuple[str, ...] = ()) -> FrameBatch:
        """Return the worker's frames, which no worker can change. Raises ProtocolError."""
        assert self._memory is not None
        return self._memory.batch(height, width, warnings)

    def _release(self) -> None:
        memory, self._memory = self._memory, None
        if isinstance(memory, FrameFile):
            memory.close()
