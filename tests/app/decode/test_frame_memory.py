"""Memory for frames: which job gets a slot, and when the slot is free again."""

import gc

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from app.decode.frame_memory import FrameSlots, JobMemory
from app.decode.wire import ProtocolError

SLOTS, COUNT, SIDE = 3, 4, 16
TIMES = np.arange(COUNT, dtype=np.float64)


@pytest.fixture
def slots() -> FrameSlots:
    made = FrameSlots(SLOTS, COUNT, SIDE)
    made.close_file()
    return made


def gets_a_slot(slots: FrameSlots, times: NDArray[np.float64] = TIMES) -> bool:
    with JobMemory(times, SIDE) as memory:
        return not memory.allocate(slots).fds


def test_jobs_beyond_the_slots_have_files_of_their_own(slots: FrameSlots) -> None:
    memories = [JobMemory(TIMES, SIDE) for _ in range(SLOTS + 1)]
    allocations = [memory.allocate(slots) for memory in memories]

    assert len({allocation.slot_offset for allocation in allocations[:SLOTS]}) == SLOTS
    assert allocations[SLOTS].slot_offset is None
    assert [len(allocation.fds) for allocation in allocations] == [0, 0, 0, 1]
    for memory in memories:
        memory.__exit__()
    assert gets_a_slot(slots)


def test_larger_jobs_have_files_of_their_own(slots: FrameSlots) -> None:
    assert gets_a_slot(slots)
    assert not gets_a_slot(slots, np.zeros(40 * COUNT))


def test_a_slot_is_taken_until_the_last_view_of_its_frames_is_gone(slots: FrameSlots) -> None:
    others = [JobMemory(TIMES, SIDE) for _ in range(2)]
    for other in others:
        other.allocate(slots)
    with JobMemory(TIMES, SIDE) as memory:
        memory.allocate(slots)
        batch = memory.batch(SIDE, SIDE)
    assert batch.frames.shape == (COUNT, SIDE, SIDE, 3)
    assert batch.timestamps_seconds.tolist() == TIMES.tolist()

    pixels, seconds = torch.from_numpy(batch.frames)[1:], batch.timestamps_seconds[1:]
    del batch
    gc.collect()
    assert not gets_a_slot(slots)
    del pixels
    assert not gets_a_slot(slots)
    del seconds
    assert gets_a_slot(slots)


def test_the_frames_of_two_jobs_are_apart(slots: FrameSlots) -> None:
    with JobMemory(TIMES, SIDE) as one, JobMemory(TIMES + 10, SIDE) as two:
        one.allocate(slots), two.allocate(slots)
        first, second = one.batch(SIDE, SIDE), two.batch(SIDE, SIDE)
    first.frames[:], second.frames[:] = 1, 2

    assert (first.frames == 1).all()
    assert first.timestamps_seconds.tolist() == TIMES.tolist()
    assert second.timestamps_seconds.tolist() == (TIMES + 10).tolist()


@pytest.mark.parametrize("size", [(SIDE, 5 * SIDE), (0, 16), (-1, -1), (1 << 40, 1 << 40)])
def test_frames_that_do_not_fit_into_the_memory_are_refused(
    slots: FrameSlots, size: tuple[int, int]
) -> None:
    for _ in range(4):
        with JobMemory(TIMES, SIDE) as memory:
            memory.allocate(slots)
            with pytest.raises(ProtocolError):
                memory.batch(*size)
    assert gets_a_slot(slots)
