"""Windows of a long video: how they are planned, batched, and given their frames."""

import io

import numpy as np
import pytest

from model import FrameBatch, SamplingConfig, VideoInfo, Window, WindowPlan, window_batches
from model.video.reader import open_video, probe
from tests.support.clips import clip_bytes, read_number

FOUR = SamplingConfig(clips=1, frames_per_clip=4)
SIDE = 48


def film(duration_seconds: float) -> VideoInfo:
    return VideoInfo(duration_seconds, 25.0, 64, 48, 0, "h264")


def batch_rows(stride: float, frames: int, *, duration: float = 400.0) -> list[slice]:
    plan = WindowPlan.over(duration, window_seconds=4.0, stride_seconds=stride, max_windows=1000)
    sampling = SamplingConfig(clips=1, frames_per_clip=frames)
    return [batch.rows for batch in window_batches(plan, film(duration), sampling)]


@pytest.mark.parametrize("stride", [1.0, 4.0, 14.0625])
def test_batches_hold_every_window_once_at_most_eight_of_them_and_64_frames(stride: float) -> None:
    plan = WindowPlan.over(400.0, window_seconds=4.0, stride_seconds=stride, max_windows=1000)
    sampling = SamplingConfig(clips=1, frames_per_clip=8)

    batches = list(window_batches(plan, film(400.0), sampling))

    rows = [row for batch in batches for row in range(batch.rows.start, batch.rows.stop)]
    assert rows == [*range(plan.count)]
    assert all(batch.distinct_seconds.size <= 64 for batch in batches)
    assert all(len(batch.timestamps_seconds) <= 8 for batch in batches)


def test_windows_that_overlap_share_frames_so_that_a_batch_holds_more_of_them() -> None:
    assert batch_rows(4.0, 16)[0] == slice(0, 4)
    assert batch_rows(2.0, 16)[0] == slice(0, 7)


def test_a_window_with_more_frames_than_a_batch_may_hold_is_a_batch() -> None:
    assert batch_rows(4.0, 150, duration=8.0) == [slice(0, 1), slice(1, 2)]


def test_a_plan_with_too_many_windows_widens_its_stride_and_says_so() -> None:
    plan = WindowPlan.over(100.0, window_seconds=4.0, stride_seconds=2.0, max_windows=5)

    assert plan.count == 5
    assert plan.stride_seconds == pytest.approx(24.0)
    assert plan.warnings == ("stride widened to 24.000 s: 5 windows at most",)
    assert (
        WindowPlan.over(8.0, window_seconds=4.0, stride_seconds=2.0, max_windows=5).warnings == ()
    )


def frames_of(video: bytes, starts: tuple[float, ...]) -> list[FrameBatch]:
    windows = tuple(Window(start, start + 2.0) for start in starts)
    plan = WindowPlan(windows, 2.0, 1.0)
    [batch] = window_batches(plan, probe(io.BytesIO(video)), FOUR)
    with open_video(io.BytesIO(video)) as opened:
        return batch.split(opened.decode(batch.distinct_seconds, short_side=SIDE))


@pytest.mark.parametrize("starts", [(0.0, 1.0, 2.0), (0.0, 0.3, 1.9)])
def test_each_window_gets_the_frames_of_its_own_times_whatever_it_shares(
    starts: tuple[float, ...],
) -> None:
    video = clip_bytes(seconds_colours=["red"] * 4, numbered=True, fps=10)

    batches = frames_of(video, starts)

    expected = [[int(start * 10 + part * 5 + 2.5 + 1e-6) for part in range(4)] for start in starts]
    assert [[read_number(frame) for frame in batch.frames] for batch in batches] == expected
    np.testing.assert_allclose(
        [batch.timestamps_seconds for batch in batches], np.array(expected) / 10
    )


def test_frames_of_windows_that_overlap_by_whole_steps_are_in_memory_once() -> None:
    video = clip_bytes(seconds_colours=["red"] * 4, numbered=True, fps=10)

    first, second = frames_of(video, (0.0, 1.0))

    assert np.shares_memory(first.frames[2:], second.frames[:2])
