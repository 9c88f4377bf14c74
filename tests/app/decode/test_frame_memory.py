"""Where workers leave frames, and for how long a slot is taken."""

import gc

import numpy as np
import pytest
import torch

from app.decode.frame_memory import FrameOutput, FrameSlots
from app.decode.protocol import Answer
from model import CorruptVideo

COUNT, SIDE = 4, 16
TIMES = np.arange(COUNT, dtype=np.float64)
SQUARES = Answer(worn_out=False, size=(SIDE, SIDE))


@pytest.fixture
def slots() -> FrameSlots:
    made = FrameSlots(COUNT, SIDE)
    made.close_file()
    return made


def is_in_a_slot(slots: FrameSlots, times: np.ndarray = TIMES) -> bool:
    with FrameOutput(times, SIDE) as output:
        return not output.place(slots).fds


def test_jobs_beyond_the_slots_have_files_of_their_own(slots: FrameSlots) -> None:
    outputs = [FrameOutput(TIMES, SIDE) for _ in range(4)]
    places = [output.place(slots) for output in outputs]

    assert len({where.told["place"] for where in places[:3]}) == 3
    assert [len(where.fds) for where in places] == [0, 0, 0, 1]
    for output in outputs:
        output.__exit__()
    assert is_in_a_slot(slots)


def test_larger_jobs_have_files_of_their_own(slots: FrameSlots) -> None:
    assert is_in_a_slot(slots)
    assert not is_in_a_slot(slots, np.zeros(40 * COUNT))


def test_a_slot_is_taken_until_the_last_view_of_its_frames_is_gone(slots: FrameSlots) -> None:
    others = [FrameOutput(TIMES, SIDE) for _ in range(2)]
    for other in others:
        other.place(slots)
    with FrameOutput(TIMES, SIDE) as output:
        output.place(slots)
        batch = output.batch(SQUARES)
    assert batch.frames.shape == (COUNT, SIDE, SIDE, 3)
    assert batch.timestamps_seconds.tolist() == TIMES.tolist()

    pixels, seconds = torch.from_numpy(batch.frames)[1:], batch.timestamps_seconds[1:]
    del batch
    gc.collect()
    assert not is_in_a_slot(slots)
    del pixels
    assert not is_in_a_slot(slots)
    del seconds
    assert is_in_a_slot(slots)


def test_the_frames_of_two_jobs_are_apart(slots: FrameSlots) -> None:
    with FrameOutput(TIMES, SIDE) as one, FrameOutput(TIMES + 10, SIDE) as two:
        one.place(slots), two.place(slots)
        first, second = one.batch(SQUARES), two.batch(SQUARES)
    first.frames[:], second.frames[:] = 1, 2

    assert (first.frames == 1).all()
    assert first.timestamps_seconds.tolist() == TIMES.tolist()
    assert second.timestamps_seconds.tolist() == (TIMES + 10).tolist()


@pytest.mark.parametrize("size", [(SIDE, 5 * SIDE), (0, 16), (-1, -1), (1 << 40, 1 << 40)])
def test_frames_that_have_no_room_are_not_believed(slots: FrameSlots, size) -> None:
    for _ in range(4):
        with FrameOutput(TIMES, SIDE) as output:
            output.place(slots)
            with pytest.raises(CorruptVideo):
                output.batch(Answer(worn_out=False, size=size))
    assert is_in_a_slot(slots)
