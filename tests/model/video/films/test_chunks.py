"""Chunks of a film: each moment is sampled once, and every window is a mean of its chunks."""

import io
from itertools import pairwise

import numpy as np
import pytest

from model import ChunkPlan, SamplingConfig, VideoInfo, WindowMeans, WindowPlan, group_chunks
from model.video.reader import open_video
from tests.support.clips import clip_bytes, read_number

FOUR = SamplingConfig(clips=1, frames_per_clip=4)
DENSE = SamplingConfig(clips=2, frames_per_clip=3, spacing="consecutive")


def film(duration_seconds: float, width: int = 64, height: int = 48) -> VideoInfo:
    return VideoInfo(duration_seconds, 25.0, width, height, 0, "h264")


def planned(
    duration: float,
    window: float = 4.0,
    stride: float = 2.0,
    sampling: SamplingConfig = FOUR,
    *,
    mixes_frames: bool = False,
    width: int = 64,
) -> tuple[WindowPlan, ChunkPlan]:
    windows = WindowPlan.over(
        duration, window_seconds=window, stride_seconds=stride, max_windows=1024
    )
    info = film(duration, width)
    return windows, ChunkPlan.over(windows, info, sampling, mixes_frames=mixes_frames)


def test_overlapping_windows_share_frames_that_are_sampled_at_a_steady_rate() -> None:
    windows, chunks = planned(20.0)

    np.testing.assert_allclose(chunks.timestamps_seconds.ravel(), np.arange(20) + 0.5)
    assert chunks.rows.tolist() == [[first, first + 4] for first in range(0, 17, 2)]
    assert len(chunks.rows) == windows.count


@pytest.mark.parametrize(
    ("duration", "window", "stride"),
    [
        (100.0, 4.0, 2.0),
        (100.0, 4.0, 1.5),
        (100.0, 4.0, 0.5),
        (100.0, 4.0, 4.0),
        (100.0, 10.0, 3.0),
        (1.3, 4.0, 2.0),
        (5.0, 4.0, 2.0),
        (3601.0, 3600.0, 0.1),
        (14_400.0, 4.0, 2.0),
        (14_400.0, 3600.0, 0.1),
        (0.04, 0.1, 0.1),
    ],
)
def test_any_window_has_the_frames_of_a_video_and_all_together_hardly_more_than_alone(
    duration: float, window: float, stride: float
) -> None:
    windows, chunks = planned(duration, window, stride)

    counts = chunks.rows[:, 1] - chunks.rows[:, 0]
    full = [
        each.end_seconds - each.start_seconds > 0.99 * min(window, duration)
        for each in windows.windows
    ]
    assert counts.min() >= 1
    assert counts[full].min() >= 4
    assert chunks.timestamps_seconds.size <= 4 * (windows.count + 1)
    assert (np.diff(chunks.timestamps_seconds.ravel()) > 0).all()
    assert 0 <= chunks.timestamps_seconds.min() <= chunks.timestamps_seconds.max() < duration


def test_where_windows_leave_gaps_only_windows_are_sampled() -> None:
    windows, chunks = planned(14_400.0)

    assert windows.stride_seconds > 14
    assert chunks.count == 4 * windows.count
    for window, (first, end) in zip(windows.windows, chunks.rows, strict=True):
        times = chunks.timestamps_seconds[first:end] - window.start_seconds
        np.testing.assert_allclose(times.ravel(), [0.5, 1.5, 2.5, 3.5])


def test_an_encoder_that_mixes_frames_gets_clips() -> None:
    _, spread = planned(20.0, sampling=SamplingConfig(1, 8), mixes_frames=True)
    # the half of a window's frames for a stride of half a window
    assert spread.timestamps_seconds.shape == (10, 4)
    np.testing.assert_allclose(spread.timestamps_seconds.ravel(), 0.25 + 0.5 * np.arange(40))
    assert spread.rows[:2].tolist() == [[0, 2], [1, 3]]

    _, dense = planned(20.0, sampling=DENSE, mixes_frames=True)
    assert dense.timestamps_seconds.shape == (10, 3)
    np.testing.assert_allclose(np.diff(dense.timestamps_seconds[3]), 1 / 25)
    assert dense.group == 2


@pytest.mark.parametrize("duration", [5.0, 400.0, 14_400.0])
def test_batches_have_every_chunk_once_and_the_first_ends_with_the_first_window(
    duration: float,
) -> None:
    _, chunks = planned(duration)

    batches = list(chunks.batches())

    assert batches[0].rows == slice(0, 4)
    assert all(one.rows.stop == other.rows.start for one, other in pairwise(batches))
    assert batches[-1].rows.stop == chunks.count
    assert max(batch.distinct_seconds.size for batch in batches) <= 64


def test_a_batch_of_a_film_with_many_pixels_is_shorter() -> None:
    _, small = planned(400.0, width=640)
    _, large = planned(400.0, width=1_000_000)

    assert [len(batch.timestamps_seconds) for batch in small.batches()][1] == 64
    assert [len(batch.timestamps_seconds) for batch in large.batches()][1] == 16


@pytest.mark.parametrize(("window", "stride"), [(4.0, 2.0), (4.0, 4.0), (10.0, 3.0)])
def test_windows_have_the_same_means_however_their_chunks_arrive(
    window: float, stride: float
) -> None:
    windows, chunks = planned(150.0, window, stride)
    features = np.random.default_rng(0).normal(size=(chunks.count, 5)).astype(np.float32)

    means = WindowMeans(chunks.rows)
    found = [means.add(features[batch.rows]) for batch in chunks.batches()]

    expected = [features[first:end].mean(axis=0) for first, end in chunks.rows]
    np.testing.assert_array_equal(np.concatenate(found), expected)
    sizes = [len(part) for part in found if len(part)]
    assert sizes == [rows.stop - rows.start for rows in chunks.window_batches()]
    assert sum(sizes) == windows.count


def test_the_last_group_of_chunks_is_filled_with_its_last_chunk() -> None:
    frames = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1, 1)

    groups = [group.ravel().tolist() for group in group_chunks(list(frames), 4)]

    assert groups == [[0, 1, 2, 3], [4, 4, 4, 4]]


@pytest.mark.parametrize(
    ("rows", "is_view"),
    [([0, 1, 2, 3], True), ([2, 3, 4, 5], True), ([0, 2, 4, 6], False), ([1, 1, 1, 1], False)],
)
def test_a_group_of_chunks_is_copied_only_where_they_do_not_follow_each_other(
    rows: list[int], is_view: bool
) -> None:
    frames = np.arange(8 * 2 * 3 * 3, dtype=np.uint8).reshape(8, 2, 1, 3, 3)

    [group] = group_chunks([frames[row] for row in rows], 4)

    np.testing.assert_array_equal(group, np.concatenate([frames[row] for row in rows]))
    assert np.shares_memory(group, frames) is is_view


def test_chunks_of_different_arrays_are_copied_into_a_group() -> None:
    one, other = np.zeros((1, 2, 2, 3), np.uint8), np.ones((1, 2, 2, 3), np.uint8)

    [group] = group_chunks([one, other], 2)

    np.testing.assert_array_equal(group, np.concatenate([one, other]))


def test_each_chunk_gets_the_frames_of_its_own_times() -> None:
    video = clip_bytes(seconds_colours=["red"] * 4, numbered=True, fps=10)
    with open_video(io.BytesIO(video)) as opened:
        windows = WindowPlan.over(4.0, window_seconds=2.0, stride_seconds=1.0, max_windows=9)
        chunks = ChunkPlan.over(windows, opened.info, SamplingConfig(1, 4), mixes_frames=True)
        [first, second] = chunks.batches()
        parts = second.split(opened.decode(second.distinct_seconds, short_side=48))

    assert (first.rows, second.rows) == (slice(0, 2), slice(2, 4))
    assert [[read_number(frame) for frame in part] for part in parts] == [[22, 27], [32, 37]]
