"""Shared memory into which workers write frames.

Each worker keeps memory with slots for a few usual jobs, whose pages are allocated already. A job
that is larger, or arrives while all slots are in use, gets a memory file of its own. No memory is
ever shared with two decode workers, because a hostile video may have taken over one of them.
"""

import fcntl
import mmap
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.decode.frame_layout import frames_offset, times_and_frames, whole_pages
from app.decode.wire import ProtocolError
from model.video.frame_scaler import max_frame_bytes
from model.video.reader import FrameBatch


def _max_job_bytes(count: int, short_side: int) -> int:
    """Return the bytes of memory for a job's times and frames, whatever the aspect ratio."""
    return frames_offset(count) + whole_pages(count * max_frame_bytes(short_side))


def _memory_file(size: int) -> int:
    """Return the descriptor of a new memory file, sealed at this size in bytes."""
    fd = os.memfd_create("frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    # Only pages that were written to occupy memory.
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


@dataclass(frozen=True, slots=True)
class FrameShape:
    """Number, height and width of the frames that a worker claims to have written."""

    count: int
    height: int
    width: int

    def length(self, available: int) -> int:
        """Return the bytes of the times and frames. Raises ProtocolError if over `available`."""
        length = frames_offset(self.count) + self.count * self.height * self.width * 3
        if min(self.height, self.width) < 1 or length > available:
            raise ProtocolError(f"{self} does not fit into {available} bytes of memory")
        return length

    def batch(self, memory: mmap.mmap | NDArray[np.uint8], warnings: tuple[str, ...]) -> FrameBatch:
        """Return the times and frames in this memory, without a copy."""
        times, frames = times_and_frames(memory, (self.count, self.height, self.width, 3))
        return FrameBatch(frames, times, warnings)


class FrameFile:
    """A memory file for the times and frames of one job; a context manager.

    The frames that `batch` returns stay valid after the file is closed.
    """

    def __init__(self, times: NDArray[np.float64], short_side: int) -> None:
        self._count = times.size
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
        """Return the worker's frames, without a copy. Raises ProtocolError if they do not fit."""
        shape = FrameShape(self._count, height, width)
        # Private: pages that this process has written to no longer change when the worker writes.
        mapped = mmap.mmap(self.fd, shape.length(self._size), flags=mmap.MAP_PRIVATE)
        return shape.batch(mapped, warnings)


class FrameSlots:
    """Memory that one worker keeps: `slots` slots, each for a job of at most `count` frames.

    `short_side` is that of the frames, in pixels.
    """

    def __init__(self, slots: int, count: int, short_side: int) -> None:
        self.slot_bytes = _max_job_bytes(count, short_side)
        self.fd = _memory_file(slots * self.slot_bytes)
        self._memory = mmap.mmap(self.fd, slots * self.slot_bytes)
        self._free = list(range(slots))

    def close_file(self) -> None:
        """Close the descriptor after the worker has inherited it; the mapping stays."""
        os.close(self.fd)

    def take(self, times: NDArray[np.float64], short_side: int) -> "_Slot | None":
        """Return a free slot with these times in it; None if no slot is free or large enough."""
        if not self._free or _max_job_bytes(times.size, short_side) > self.slot_bytes:
            return None
        # The slot that was freed last: its pages are more likely to be in a cache.
        return _Slot(self, self._free.pop(), times)

    def free(self, index: int) -> None:
        """Make a slot free again."""
        self._free.append(index)

    def bytes_of(self, index: int, length: int) -> memoryview:
        """Return the first `length` bytes of a slot."""
        start = index * self.slot_bytes
        return memoryview(self._memory)[start : start + length]


class _Slot:
    """One job's slot. It becomes free when its frames are no longer referenced, or on `close`."""

    def __init__(self, slots: FrameSlots, index: int, times: NDArray[np.float64]) -> None:
        self._slots = slots
        self._count = times.size
        self._index: int | None = index
        self.offset = index * slots.slot_bytes
        slots.bytes_of(index, times.nbytes)[:] = times.tobytes()

    def close(self) -> None:
        """Free the slot, unless `batch` was called: then the slot is freed with its frames."""
        if self._index is not None:
            self._slots.free(self._index)

    def batch(self, height: int, width: int, warnings: tuple[str, ...] = ()) -> FrameBatch:
        """Return the worker's frames, without a copy. Raises ProtocolError if they do not fit."""
        assert self._index is not None
        shape = FrameShape(self._count, height, width)
        length = shape.length(self._slots.slot_bytes)
        # An array and not a memoryview: the returned arrays and their views keep an array alive,
        # but of a memoryview only the memory under it.
        mapped = np.frombuffer(self._slots.bytes_of(self._index, length), np.uint8)
        weakref.finalize(mapped, self._slots.free, self._index).atexit = False
        self._index = None
        return shape.batch(mapped, warnings)


@dataclass(frozen=True, slots=True)
class Allocation:
    """Location of a job's memory: an offset in bytes in the worker's slots, or a file to send."""

    slot_offset: int | None
    fds: Sequence[int]


class JobMemory:
    """Memory for one job's times and frames, allocated once a worker is chosen.

    A context manager. The frames that `batch` returns stay valid after it ends.
    """

    def __init__(self, times: NDArray[np.float64], short_side: int) -> None:
        self._times = times
        self._short_side = short_side
        self._memory: FrameFile | _Slot | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def allocate(self, slots: FrameSlots | None) -> Allocation:
        """Allocate memory that the worker with these slots can write to, with the times in it."""
        self._release()  # it may be a slot of a worker that has ended
        slot = slots.take(self._times, self._short_side) if slots is not None else None
        if slot is not None:
            self._memory = slot
            return Allocation(slot.offset, ())
        self._memory = file = FrameFile(self._times, self._short_side)
        return Allocation(None, (file.fd,))

    def batch(self, height: int, width: int, warnings: tuple[str, ...] = ()) -> FrameBatch:
        """Return the worker's frames, without a copy. Raises ProtocolError if they do not fit."""
        assert self._memory is not None
        return self._memory.batch(height, width, warnings)

    def _release(self) -> None:
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()
