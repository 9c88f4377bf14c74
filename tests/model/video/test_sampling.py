"""Which times are looked at."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.video.sampling import SamplingConfig, Window, clip_timestamps, plan_windows

SPREAD, CONSECUTIVE = "spread", "consecutive"
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
def test_times_are_those_of_the_table(start, end, fps, config, expected):
    np.testing.assert_allclose(clip_timestamps(start, end, fps, config), expected, atol=1e-9)


@given(
    start=st.floats(0, 1e4),
    length=seconds,
    fps=st.floats(0.01, 240),
    clips=st.integers(1, 12),
    frames=st.integers(1, 64),
    spacing=st.sampled_from([SPREAD, CONSECUTIVE]),
)
def test_times_are_sorted_inside_and_as_many_as_asked(start, length, fps, clips, frames, spacing):
    times = clip_timestamps(start, start + length, fps, SamplingConfig(clips, frames, spacing))
    assert times.shape == (clips, frames)
    assert times.dtype == np.float64
    assert (np.diff(times, axis=1) >= 0).all()
    assert (np.diff(times[:, 0]) >= 0).all()
    assert times.min() >= start
    assert times.max() < start + length


# Four parts of 2 s, a frame may move by half a second.
LEEWAY = SamplingConfig(1, 4, SPREAD, 0.25)


@pytest.mark.parametrize(
    ("keyframes", "expected"),
    [
        ([], [1, 3, 5, 7]),
        ([0], [1, 3, 5, 6.5]),  # the last of a group decides what is decoded of it
        ([0, 4], [1, 2.5, 5, 6.5]),
        ([0, 3.2, 7], [0.5, 3.2, 4.5, 7]),  # a keyframe in reach is taken
        ([0, 0.6, 1.4, 4.4], [0.6, 2.5, 5, 6.5]),  # the one before the middle if there is one
        ([0, 1.2, 1.4], [1.4, 3, 5, 6.5]),
        ([2, 4, 6], [1, 2.5, 4.5, 6.5]),  # of what is before the first nothing is known
        ([0.4, 1.6], [0.5, 3, 5, 6.5]),  # just out of reach on either side
    ],
)
def test_leeway_is_used_where_it_spares_decoding(keyframes, expected):
    times = clip_timestamps(0, 8, 25, LEEWAY, last_of(keyframes))
    np.testing.assert_allclose(times, [expected])


def last_of(keyframes):
    return lambda time: max((key for key in keyframes if key <= time), default=None)


def test_without_leeway_or_keyframes_the_middles_stay():
    middles = [[1, 3, 5, 7]]
    np.testing.assert_allclose(clip_timestamps(0, 8, 25, LEEWAY), middles)
    exact = SamplingConfig(1, 4, SPREAD)
    np.testing.assert_allclose(clip_timestamps(0, 8, 25, exact, last_of([0, 3.2])), middles)


@given(
    keyframes=st.lists(st.floats(0, 100), max_size=30).map(lambda keys: [0.0, *sorted(keys)]),
    frames=st.integers(1, 16),
    leeway=st.floats(0, 0.49),
)
def test_leeway_never_costs_more_and_is_never_exceeded(keyframes, frames, leeway):
    config = SamplingConfig(1, frames, SPREAD, leeway)
    middles = clip_timestamps(0, 100, 25, config)[0]
    times = clip_timestamps(0, 100, 25, config, last_of(keyframes))[0]

    assert np.abs(times - middles).max() <= leeway * 100 / frames + 1e-9
    assert (np.diff(times) > 0).all()
    assert seconds_decoded(times, keyframes) <= seconds_decoded(middles, keyframes) + 1e-9


def seconds_decoded(times, keyframes):
    """What is decoded in all: of every group of pictures up to the last wanted time in it."""
    ends = {last_of(keyframes)(time): time for time in times}
    return sum(end - key for key, end in ends.items())


@given(present=st.integers(8, 5000), fps=st.sampled_from([5, 24, 25, 30000 / 1001, 60, 240]))
def test_consecutive_times_fall_on_neighbouring_frames(present, fps):
    times = clip_timestamps(0, present / fps, fps, SamplingConfig(3, 8, CONSECUTIVE))
    numbers = np.floor(times * fps)
    assert (np.diff(numbers, axis=1) == 1).all()
    assert numbers[0, 0] == 0
    assert numbers[-1, -1] == present - 1


@pytest.mark.parametrize(
    ("start", "end", "fps"), [(0, 0, 25), (2, 1, 25), (0, float("nan"), 25), (0, 1, 0)]
)
def test_nonsense_is_refused(start, end, fps):
    with pytest.raises(ValueError, match=r"not a stretch|positive"):
        clip_timestamps(start, end, fps, SamplingConfig(1, 2, CONSECUTIVE))


@pytest.mark.parametrize(
    "wrong",
    [{"clips": 0}, {"frames_per_clip": 0}, {"spacing": "dense"}, {"leeway": 0.5}, {"leeway": -0.1}],
)
def test_config_refuses_what_cannot_be_sampled(wrong):
    with pytest.raises(ValueError, match="must be"):
        SamplingConfig(**{"clips": 1, "frames_per_clip": 8, "spacing": SPREAD} | wrong)


@pytest.mark.parametrize(
    ("duration", "window", "stride", "most", "spans", "used"),
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
def test_windows_are_those_of_the_table(duration, window, stride, most, spans, used):
    windows, effective = plan_windows(duration, window, stride, most)
    assert windows == tuple(Window(*span) for span in spans)
    assert effective == used


@given(duration=seconds, window=seconds, stride=seconds, most=st.integers(1, 1024))
def test_windows_stay_inside_in_order_and_in_number(duration, window, stride, most):
    windows, effective = plan_windows(duration, window, stride, most)
    assert 1 <= len(windows) <= most
    assert effective >= stride or len(windows) == 1
    assert windows[0].start_seconds == 0
    assert all(0 < w.end_seconds - w.start_seconds <= window * (1 + 1e-9) for w in windows)
    assert all(a.start_seconds < b.start_seconds for a, b in pairwise(windows))
    assert windows[-1].end_seconds <= duration
    if effective <= window and most > 1:
        assert windows[-1].end_seconds == pytest.approx(duration)


@pytest.mark.parametrize("wrong", [(0, 1, 1, 1), (1, 0, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)])
def test_windows_of_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="must be positive"):
        plan_windows(*wrong)
