"""Windows of a long video: what is decoded in one turn, and which frames each one gets."""

import io

import numpy as np
import pytest

from app.upload.buffer import SealedFile
from app.windows import decode_windows, frame_times, turns
from model import Window, plan_windows
from model.video.reader import probe
from model.video.sampling import SamplingConfig
from tests.support.clips import clip_bytes, read_number
from tests.support.pools import descriptor, pool_of

FOUR = SamplingConfig(clips=1, frames_per_clip=4)
SIDE = 48

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("stride", [1.0, 4.0, 14.0625])
def test_turns_hold_every_window_once_eight_of_them_and_64_frames_at_most(stride):
    windows, _ = plan_windows(400.0, 4.0, stride, 1000)
    times = np.stack([np.linspace(w.start_seconds, w.end_seconds, 8) for w in windows])
    parts = list(turns(times))
    assert [row for part in parts for row in range(part.start, part.stop)] == [*range(len(times))]
    assert all(np.unique(times[part]).size <= 64 for part in parts)
    assert all(part.stop - part.start <= 8 for part in parts)


def test_windows_that_overlap_share_frames_so_that_a_turn_holds_more_of_them():
    apart = np.arange(1600.0).reshape(100, 16)
    half = np.arange(100.0)[:, np.newaxis] * 8 + np.arange(16.0)
    assert next(turns(apart)) == slice(0, 4)
    assert next(turns(half)) == slice(0, 7)


def test_a_window_with_more_frames_than_a_turn_has_room_for_is_a_turn():
    assert list(turns(np.arange(300.0).reshape(2, 150))) == [slice(0, 1), slice(1, 2)]


@pytest.mark.parametrize("starts", [(0.0, 1.0, 2.0), (0.0, 0.3, 1.9)])
async def test_each_window_gets_the_frames_of_its_own_times_whatever_it_shares(starts):
    video = clip_bytes(seconds_colours=["red"] * 4, numbered=True, fps=10)
    windows = [Window(start, start + 2.0) for start in starts]
    times = frame_times(windows, probe(io.BytesIO(video)), FOUR)
    with descriptor(video) as fd:
        file = SealedFile(fd, len(video), "")
        async with pool_of(1) as pool:
            batches = await decode_windows(pool, file, times, SIDE, keyframes_only=False, threads=1)
    expected = [[int(start * 10 + part * 5 + 2.5 + 1e-6) for part in range(4)] for start in starts]
    assert [[read_number(frame) for frame in batch.frames] for batch in batches] == expected
    np.testing.assert_allclose(
        [batch.timestamps_seconds for batch in batches], np.array(expected) / 10
    )


async def test_frames_of_windows_that_overlap_by_whole_steps_are_in_memory_once():
    video = clip_bytes(seconds_colours=["red"] * 4, numbered=True, fps=10)
    times = frame_times([Window(0.0, 2.0), Window(1.0, 3.0)], probe(io.BytesIO(video)), FOUR)
    with descriptor(video) as fd:
        file = SealedFile(fd, len(video), "")
        async with pool_of(1) as pool:
            first, second = await decode_windows(
                pool, file, times, SIDE, keyframes_only=False, threads=1
            )
    assert np.shares_memory(first.frames[2:], second.frames[:2])
