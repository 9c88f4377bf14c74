"""Memory files through which workers hand over frames.

Usual jobs have a slot in memory that belongs to one worker for good: its pages are there already.
Whatever is larger, or comes while all slots are taken, gets a file of its own. No memory is ever
shown to two workers, one of which may be in the hands of a video's author.
"""

import fcntl
import mmap
import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from app.decode.protocol import Answer
from app.decode.worker import frames_start, views
from model import CorruptVideo
from model.video.reader import FrameBatch

# `model.video.reader` makes no picture longer than four times its short side.
_MAX_PIXEL_BYTES = 4 * 3
# One is written to while the frames of two are encoded or wait for it.
_SLOTS = 3
_PAGE = mmap.ALLOCATIONGRANULARITY


def _bytes_for(count: int, short_side: int) -> int:
    """Room for so many frames of any shape and their times, in whole pages."""
    return frames_start(count) + -(-count * short_side**2 * _MAX_PIXEL_BYTES // _PAGE) * _PAGE


def _memory_file(size: int) -> int:
    """A memory file of a size that nobody can change."""
    fd = os.memfd_create("frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    # Only pages that are written to take memory.
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


def _frame_bytes(count: int, answer: Answer, room: int) -> int:
    """Length of the memory that the answer claims. Raises CorruptVideo where it has no room."""
    height, width = answer.size
    length = frames_start(count) + count * height * width * 3
    if min(height, width) < 1 or length > room:
        raise CorruptVideo("the decoder died on this video")
    return length


def _batch(memory: mmap.mmap | NDArray[np.uint8], count: int, answer: Answer) -> FrameBatch:
    times, frames = views(memory, (count, *answer.size, 3))
    return FrameBatch(frames, times, answer.warnings)


class FrameMemory:
    """A memory file for one job's times and frames."""

    def __init__(self, count: int, short_side: int) -> None:
        self.count = count
        self._size = _bytes_for(count, short_side)
        self.fd = _memory_file(self._size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frames that were taken stay."""
        os.close(self.fd)

    def set_times(self, times: NDArray[np.float64]) -> None:
        os.pwrite(self.fd, times.tobytes(), 0)

    def batch(self, answer: Answer) -> FrameBatch:
        """The frames that the worker left here, without a copy."""
        length = _frame_bytes(self.count, answer, self._size)
        # Private: what a worker writes after its answer cannot change what was written to.
        return _batch(mmap.mmap(self.fd, length, flags=mmap.MAP_PRIVATE), self.count, answer)


class FrameSlots:
    """A memory file that one worker has for good, for a few jobs of at most `count` frames."""

    def __init__(self, count: int, short_side: int) -> None:
        self.slot_bytes = _bytes_for(count, short_side)
        self.fd = _memory_file(_SLOTS * self.slot_bytes)
        self._memory = mmap.mmap(self.fd, _SLOTS * self.slot_bytes)
        self._free = list(range(_SLOTS))

    def close_file(self) -> None:
        """Once the worker has it: who has mapped the memory keeps it."""
        os.close(self.fd)

    def take(self, count: int, short_side: int) -> "_Slot | None":
        """A free slot, None where there is none of this size."""
        if not self._free or _bytes_for(count, short_side) > self.slot_bytes:
            return None
        # The one that was free last: its pages are more likely to be in a cache.
        return _Slot(self, count, self._free.pop())

    def give_back(self, number: int) -> None:
        self._free.append(number)

    def part(self, number: int, length: int) -> memoryview:
        start = number * self.slot_bytes
        return memoryview(self._memory)[start : start + length]


class _Slot:
    """One job's part of a worker's memory. Free again when its frames are gone, or never taken."""

    def __init__(self, slots: FrameSlots, count: int, number: int) -> None:
        self._slots = slots
        self._count = count
        self._number: int | None = number
        self.place = number * slots.slot_bytes

    def close(self) -> None:
        if self._number is not None:
            self._slots.give_back(self._number)

    def set_times(self, times: NDArray[np.float64]) -> None:
        assert self._number is not None
        self._slots.part(self._number, times.nbytes)[:] = times.tobytes()

    def batch(self, answer: Answer) -> FrameBatch:
        """The frames that the worker left here, without a copy: the slot is theirs."""
        assert self._number is not None
        length = _frame_bytes(self._count, answer, self._slots.slot_bytes)
        # an array, which both arrays hold and whatever is made of them without a copy; of a
        # memoryview they would hold what lies under it
        part = np.frombuffer(self._slots.part(self._number, length), np.uint8)
        weakref.finalize(part, self._slots.give_back, self._number).atexit = False
        self._number = None
        return _batch(part, self._count, answer)


@dataclass(frozen=True, slots=True)
class Where:
    """What a worker is told of a job's memory, and is handed."""

    told: Mapping[str, Any]
    fds: Sequence[int]


class FrameOutput:
    """Memory for one job's frames, chosen when the worker is; a context manager."""

    def __init__(self, times: NDArray[np.float64], short_side: int) -> None:
        self._times = times
        self._short_side = short_side
        self._memory: FrameMemory | _Slot | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def place(self, slots: FrameSlots | None) -> Where:
        """Memory that a worker with these slots can write to; the times are in it."""
        self._let_go()  # of what a worker that was gone would have had
        slot = slots.take(self._times.size, self._short_side) if slots is not None else None
        self._memory = slot or FrameMemory(self._times.size, self._short_side)
        self._memory.set_times(self._times)
        if isinstance(self._memory, _Slot):
            return Where({"place": self._memory.place}, ())
        return Where({}, (self._memory.fd,))

    def _let_go(self) -> None:
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()

    def batch(self, answer: Answer) -> FrameBatch:
        """The frames that the worker left, without a copy."""
        assert self._memory is not None
        return self._memory.batch(answer)
