"""The sampling rule: which times are decoded, and how a duration is divided into windows."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.video.sampling import (
    KeyframeBefore,
    SamplingConfig,
    Window,
    clip_timestamps,
    plan_windows,
)

SPREAD: Literal["spread"] = "spread"
CONSECUTIVE: Literal["consecutive"] = "consecutive"
seconds = st.floats(0.001, 4 * 3600.0)


@pytest.mark.parametrize(
    ("start", "end", "fps", "config", "expected"),
    [
        (0, 8, 25, SamplingConfig(1, 4, SPREAD), [[1, 3, 5, 7]]),
        (0, 8, 25, SamplingConfig(2, 2, SPREAD), [[1, 3], [5, 7]]),
        (10, 12, 25, SamplingConfig(1, 1, SPREAD), [[11]]),
        (0, 0.04, 25, SamplingConfig(1, 2, SPREAD), [[0.01, 0.03]]),
        # One clip sits in the middle, several reach from the first frame to the last.
        (0, 1, 10, SamplingConfig(1, 4, CONSECUTIVE), [[0.35, 0.45, 0.55, 0.65]]),
        (0, 1, 10, SamplingConfig(2, 2, CONSECUTIVE), [[0.05, 0.15], [0.85, 0.95]]),
        (5, 6, 10, SamplingConfig(2, 2, CONSECUTIVE), [[5.05, 5.15], [5.85, 5.95]]),
        # Shorter than a clip: from the start, last frame repeated.
        (0, 0.2, 10, SamplingConfig(2, 3, CONSECUTIVE), [[0.05, 0.15, 0.15]] * 2),
        (0, 0.04, 10, SamplingConfig(1, 3, CONSECUTIVE), [[0.02] * 3]),
    ],
)
def test_times_are_those_of_the_table(
    start: float,
    end: float,
    fps: float,
    config: SamplingConfig,
    expected: Sequence[Sequence[float]],
) -> None:
    np.testing.assert_allclose(clip_timestamps(start, end, fps, config), expected, atol=1e-9)


@given(
    start=st.floats(0, 1e4),
    length=seconds,
    fps=st.floats(0.01, 240),
    clips=st.integers(1, 12),
    frames=st.integers(1, 64),
    spacing=st.sampled_from([SPREAD, CONSECUTIVE]),
)
def test_times_are_sorted_and_within_the_span(
    start: float,
    length: float,
    fps: float,
    clips: int,
    frames: int,
    spacing: Literal["spread", "consecutive"],
) -> None:
    times = clip_timestamps(start, start + length, fps, SamplingConfig(clips, frames, spacing))
    assert times.shape == (clips, frames)
    assert times.dtype == np.float64
    assert (np.diff(times, axis=1) >= 0).all()
    assert (np.diff(times[:, 0]) >= 0).all()
    assert times.min() >= start
    assert times.max() < start + length


# Four parts of 4.5 s, a frame may move by half a second.
LEEWAY = SamplingConfig(1, 4, SPREAD, 0.25)


@pytest.mark.parametrize(
    ("keyframes", "expected"),
    [
        ([], [2.25, 6.75, 11.25, 15.75]),
        # the last time of a group decides how much is decoded
        ([0], [2.25, 6.75, 11.25, 15.25]),
        ([0, 8], [2.25, 6.25, 11.25, 15.25]),
        ([0, 7, 16], [1.75, 7, 10.75, 16]),  # a keyframe in reach is taken
        # the last one before the centre, if there is one
        ([0, 1.85, 2.65, 8.15], [1.85, 6.25, 11.25, 15.25]),
        ([0, 2.45, 2.65], [2.65, 6.75, 11.25, 15.25]),
        ([4, 8, 13], [2.25, 6.25, 10.75, 15.25]),  # before the first keyframe nothing is known
        ([1.65, 2.85], [1.75, 6.75, 11.25, 15.25]),  # just out of reach on either side
    ],
)
def test_leeway_is_used_where_it_saves_decoding(
    keyframes: Sequence[float], expected: Sequence[float]
) -> None:
    times = clip_timestamps(0, 18, 25, LEEWAY, last_of(keyframes))
    np.testing.assert_allclose(times, [expected])


def test_a_short_clip_gives_the_same_frames_wherever_its_keyframes_are() -> None:
    exact = clip_timestamps(0, 10, 25, LEEWAY)

    for keyframes in ([0], [0, 3.6, 6.1], [number / 25 for number in range(250)]):
        times = clip_timestamps(0, 10, 25, LEEWAY, last_of(keyframes))
        np.testing.assert_array_equal(times, exact)


def last_of(keyframes: Sequence[float]) -> KeyframeBefore:
    """The last of these keyframes at or before a time."""
    return lambda time: max((key for key in keyframes if key <= time), default=None)


def test_without_leeway_or_keyframes_the_centres_are_taken() -> None:
    middles = [[2.25, 6.75, 11.25, 15.75]]
    np.testing.assert_allclose(clip_timestamps(0, 18, 25, LEEWAY), middles)
    exact = SamplingConfig(1, 4, SPREAD)
    np.testing.assert_allclose(clip_timestamps(0, 18, 25, exact, last_of([0, 7])), middles)


@given(
    keyframes=st.lists(st.floats(0, 100), max_size=30).map(lambda keys: [0.0, *sorted(keys)]),
    frames=st.integers(1, 16),
    leeway=st.floats(0, 0.49),
)
def test_leeway_never_costs_more_and_is_never_exceeded(
    keyframes: Sequence[float], frames: int, leeway: float
) -> None:
    config = SamplingConfig(1, frames, SPREAD, leeway)
    middles = clip_timestamps(0, 100, 25, config)[0]
    times = clip_timestamps(0, 100, 25, config, last_of(keyframes))[0]

    assert np.abs(times - middles).max() <= leeway * max(0, 100 / frames - 2.5) + 1e-9
    assert (np.diff(times) > 0).all()
    assert seconds_decoded(times, keyframes) <= seconds_decoded(middles, keyframes) + 1e-9


def seconds_decoded(times: Iterable[float], keyframes: Sequence[float]) -> float:
    """Seconds of video that are decoded: each group of pictures up to the last wanted time."""
    ends: dict[float, float] = {}
    for time in times:
        key = last_of(keyframes)(time)
        assert key is not None
        ends[key] = time
    return sum(end - key for key, end in ends.items())


@given(present=st.integers(8, 5000), fps=st.sampled_from([5, 24, 25, 30000 / 1001, 60, 240]))
def test_consecutive_times_fall_on_neighbouring_frames(present: int, fps: float) -> None:
    times = clip_timestamps(0, present / fps, fps, SamplingConfig(3, 8, CONSECUTIVE))
    numbers = np.floor(times * fps)
    assert (np.diff(numbers, axis=1) == 1).all()
    assert numbers[0, 0] == 0
    assert numbers[-1, -1] == present - 1


@pytest.mark.parametrize(
    ("start", "end", "fps"), [(0, 0, 25), (2, 1, 25), (0, float("nan"), 25), (0, 1, 0)]
)
def test_an_impossible_span_is_refused(start: float, end: float, fps: float) -> None:
    with pytest.raises(ValueError, match=r"finite and not empty|positive"):
        clip_timestamps(start, end, fps, SamplingConfig(1, 2, CONSECUTIVE))


@pytest.mark.parametrize(
    "wrong",
    [{"clips": 0}, {"frames_per_clip": 0}, {"spacing": "dense"}, {"leeway": 0.5}, {"leeway": -0.1}],
)
def test_an_impossible_config_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        replace(SamplingConfig(clips=1, frames_per_clip=8), **wrong)


@pytest.mark.parametrize(
    ("duration", "window", "stride", "max_windows", "spans", "used"),
    [
        (10, 4, 4, 100, [(0, 4), (4, 8), (8, 10)], 4),
        (10, 4, 2, 100, [(0, 4), (2, 6), (4, 8), (6, 10)], 2),
        (3, 4, 2, 100, [(0, 3)], 2),
        (8, 4, 4, 100, [(0, 4), (4, 8)], 4),
        (10, 2, 100, 100, [(0, 2)], 100),
        (10, 4, 1, 3, [(0, 4), (3, 7), (6, 10)], 3),
        (10, 4, 1, 1, [(0, 4)], 10),
    ],
)
def test_windows_are_those_of_the_table(
    duration: float,
    window: float,
    stride: float,
    max_windows: int,
    spans: list[tuple[float, float]],
    used: float,
) -> None:
    windows, effective = plan_windows(duration, window, stride, max_windows)
    assert windows == tuple(Window(*span) for span in spans)
    assert effective == used


@given(duration=seconds, window=seconds, stride=seconds, max_windows=st.integers(1, 1024))
def test_windows_are_sorted_within_the_video_and_not_too_many(
    duration: float, window: float, stride: float, max_windows: int
) -> None:
    windows, effective = plan_windows(duration, window, stride, max_windows)
    assert 1 <= len(windows) <= max_windows
    assert effective >= stride or len(windows) == 1
    assert windows[0].start_seconds == 0
    assert all(0 < w.end_seconds - w.start_seconds <= window * (1 + 1e-9) for w in windows)
    assert all(a.start_seconds < b.start_seconds for a, b in pairwise(windows))
    assert windows[-1].end_seconds <= duration
    if effective <= window and max_windows > 1:
        assert windows[-1].end_seconds == pytest.approx(duration)


@pytest.mark.parametrize("wrong", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)])
def test_windows_that_are_not_positive_are_refused(wrong: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        plan_windows(*wrong)
