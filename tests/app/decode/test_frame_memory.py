"""Memory for frames: where a job's frames go, and that no worker changes them afterwards."""

import mmap
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.decode.frame_layout import times_and_frames
from app.decode.frame_memory import FrameFile, FrameSlot, JobMemory
from app.decode.wire import ProtocolError

COUNT, SIDE = 4, 16
TIMES = np.arange(COUNT, dtype=np.float64)
SHAPE = (COUNT, SIDE, SIDE, 3)


@pytest.fixture
def slot() -> FrameSlot:
    return FrameSlot(COUNT, SIDE)


def write(memory: mmap.mmap, value: int, times: NDArray[np.float64] = TIMES) -> None:
    """Write as a worker does; the views of the memory are gone afterwards."""
    seconds, frames = times_and_frames(memory, SHAPE)
    seconds[:], frames[:] = times, value


def test_a_usual_job_uses_the_memory_that_the_worker_keeps(slot: FrameSlot) -> None:
    with JobMemory(TIMES, SIDE) as memory:
        allocation = memory.allocate(slot)

    assert allocation.in_kept_memory
    assert not allocation.fds


def test_a_larger_job_has_a_file_of_its_own(slot: FrameSlot) -> None:
    with JobMemory(np.zeros(40 * COUNT), SIDE) as memory:
        allocation = memory.allocate(slot)

        assert not allocation.in_kept_memory
        assert len(allocation.fds) == 1


def test_a_worker_cannot_change_frames_that_it_wrote_into_its_memory(slot: FrameSlot) -> None:
    with mmap.mmap(slot.fd, 0) as of_the_worker, JobMemory(TIMES, SIDE) as memory:
        memory.allocate(slot)
        write(of_the_worker, 1)
        batch = memory.batch(SIDE, SIDE)
        write(of_the_worker, 2, TIMES + 10)

    assert (batch.frames == 1).all()
    assert batch.timestamps_seconds.tolist() == TIMES.tolist()


def test_a_worker_cannot_change_a_file_whose_frames_are_used() -> None:
    with FrameFile(TIMES, SIDE) as file:
        with mmap.mmap(file.fd, 0) as of_the_worker:
            write(of_the_worker, 1)
        batch = file.batch(SIDE, SIDE)
        with pytest.raises(PermissionError):
            mmap.mmap(file.fd, 0)

    assert (batch.frames == 1).all()
    batch.frames[:] = 3  # the caller may


def test_memory_is_freed_with_the_frames_while_their_times_are_kept() -> None:
    with FrameFile(TIMES, SIDE) as file:
        with mmap.mmap(file.fd, 0) as of_the_worker:
            write(of_the_worker, 1)
        batch = file.batch(SIDE, SIDE)
    assert mapped_frames() == 1

    times = batch.timestamps_seconds
    del batch

    assert mapped_frames() == 0
    assert times.tolist() == TIMES.tolist()


def mapped_frames() -> int:
    """Number of memory files of frames that this process maps."""
    return Path("/proc/self/maps").read_text().count("memfd:frames")


def test_frames_that_a_worker_still_maps_are_refused() -> None:
    with FrameFile(TIMES, SIDE) as file, mmap.mmap(file.fd, 0), pytest.raises(ProtocolError):
        file.batch(SIDE, SIDE)


@pytest.mark.parametrize(
    "size", [(SIDE, 5 * SIDE), (SIDE - 1, SIDE), (0, 16), (-1, -1), (1 << 40, 1 << 40)]
)
def test_frames_that_do_not_fit_into_the_memory_are_refused(
    slot: FrameSlot, size: tuple[int, int]
) -> None:
    for kept in (slot, None):
        with JobMemory(TIMES, SIDE) as memory:
            memory.allocate(kept)
            with pytest.raises(ProtocolError):
                memory.batch(*size)


@pytest.mark.parametrize("time", [np.nan, np.inf, -1e10])
def test_times_that_no_video_has_are_refused(slot: FrameSlot, time: float) -> None:
    with JobMemory(np.array([0.0, time]), SIDE) as memory:
        memory.allocate(slot)
        with pytest.raises(ProtocolError):
            memory.batch(SIDE, SIDE)
