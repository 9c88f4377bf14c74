"""Scores of windows merged into spans of time."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.segments import Span, duration_ratio, merge_windows
from model.video.sampling import Window, plan_windows


def spans_of(
    scores: Sequence[float], *, window: float = 1.0, stride: float = 1.0, floor: float = 0.0
) -> list[tuple[float, float]]:
    windows = [Window(i * stride, i * stride + window) for i in range(len(scores))]
    spans = merge_windows(
        windows,
        [{"a": score} for score in scores],
        open_score=0.6,
        keep_score=0.3,
        floors={"a": floor},
    )
    return [(span.start_seconds, span.end_seconds) for span in spans]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], []),
        ([0.5], []),  # kept, but never opened
        ([0.6], [(0, 1)]),  # the thresholds themselves count
        ([0.3, 0.6, 0.3], [(0, 3)]),  # an opened span reaches back as well as on
        ([0.29, 0.6, 0.29], [(1, 2)]),
        ([0.9, 0.3, 0.9], [(0, 3)]),  # a dip over the lower threshold
        ([0.9, 0.2, 0.9], [(0, 1), (2, 3)]),  # and one under it
        ([0.9, 0.2, 0.5], [(0, 1)]),  # what follows a gap must open again
        ([0.5, 0.5, 0.2, 0.9], [(3, 4)]),
        ([0.9, 0.0, 0.0, 0.9, 0.4], [(0, 1), (3, 5)]),
    ],
)
def test_a_span_opens_at_one_score_and_continues_above_a_lower_one(
    scores: list[float], expected: list[tuple[float, float]]
) -> None:
    assert spans_of(scores) == expected


@pytest.mark.parametrize(
    ("scores", "window", "stride", "expected"),
    [
        ([0.9, 0.9], 4, 2, [(0, 6)]),
        ([0.9, 0.0, 0.9], 4, 1, [(0, 6)]),  # 0..4 and 2..6 overlap
        ([0.9, 0.0, 0.9], 4, 2, [(0, 8)]),  # 0..4 and 4..8 touch
        ([0.9, 0.0, 0.0, 0.9], 4, 2, [(0, 3), (7, 10)]),
        ([0.9, 0.0, 0.4, 0.0, 0.9], 4, 1, [(0, 8)]),
        ([0.9, 0.0, 0.0, 0.0, 0.0, 0.9], 4, 1, [(0, 2.5), (6.5, 9)]),
    ],
)
def test_spans_of_overlapping_windows_are_one_when_they_meet(
    scores: list[float], window: float, stride: float, expected: list[tuple[float, float]]
) -> None:
    assert spans_of(scores, window=window, stride=stride) == expected


@pytest.mark.parametrize(
    ("scores", "floor", "expected"),
    [
        ([0.9, 0.4, 0.9], 0.0, [(0, 8)]),
        ([0.9, 0.4, 0.9], 0.4, [(0, 8)]),
        ([0.9, 0.4, 0.9], 0.5, [(0, 3), (5, 8)]),  # the middle window is not bridged either
        ([0.4, 0.9, 0.4], 0.5, [(3, 5)]),
        ([0.9, 0.7], 0.8, [(0, 3)]),  # a floor over the opening score opens later
    ],
)
def test_a_window_below_the_floor_is_in_no_span(
    scores: list[float], floor: float, expected: list[tuple[float, float]]
) -> None:
    assert spans_of(scores, window=4, stride=2, floor=floor) == expected


def test_a_span_ends_in_the_middle_of_the_overlap_with_a_window_that_is_not_in_it() -> None:
    assert spans_of([0.0, 0.9, 0.0], window=4, stride=2) == [(3, 5)]
    assert spans_of([0.0, 0.9, 0.9, 0.0], window=4, stride=3) == [(3.5, 9.5)]
    assert spans_of([0.9, 0.0], window=4, stride=4) == [(0, 4)]


def test_windows_with_gaps_between_them_are_neighbours_all_the_same() -> None:
    assert spans_of([0.9, 0.9, 0.0, 0.9], window=1, stride=10) == [(0, 11), (30, 31)]


def test_a_span_has_its_highest_and_mean_score_without_the_windows_it_bridges() -> None:
    windows = [Window(start, start + 4.0) for start in (0.0, 1.0, 2.0)]

    [span] = merge_windows(
        windows, [{"a": 0.9}, {"b": 1.0}, {"a": 0.5}], open_score=0.5, keep_score=0.5, floors={}
    )[:1]

    assert span == Span("a", 0.0, 6.0, 0.9, (0.9 + 0.5) / 2)


def test_labels_do_not_disturb_each_other_and_come_in_order_of_start_then_score() -> None:
    windows = [Window(0.0, 1.0), Window(1.0, 2.0)]
    scores = [{"c": 0.7, "late": 0.1}, {"b": 0.8, "late": 0.9, "c": 0.7}]

    spans = merge_windows(windows, scores, open_score=0.6, keep_score=0.3, floors={})

    assert [(span.label, span.start_seconds) for span in spans] == [
        ("c", 0.0),
        ("late", 1.0),
        ("b", 1.0),
    ]


@given(
    scores=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    window=st.floats(0.5, 8),
    share=st.floats(0.1, 1.0),
    floor=st.just(0.0) | st.floats(0, 1),
)
def test_spans_of_a_label_are_inside_the_video_in_order_and_apart(
    scores: list[float], window: float, share: float, floor: float
) -> None:
    duration = window + (len(scores) - 1) * window * share
    windows, _ = plan_windows(duration, window, window * share, len(scores))

    spans = merge_windows(
        windows,
        [{"a": score} for score in scores[: len(windows)]],
        open_score=0.6,
        keep_score=0.3,
        floors={"a": floor},
    )

    times = [time for span in spans for time in (span.start_seconds, span.end_seconds)]
    assert times == sorted(set(times))
    assert all(0 <= time <= duration for time in times)
    opening = max(0.6, floor)
    assert bool(spans) == (max(scores[: len(windows)]) >= opening)
    for of, score in zip(windows, scores, strict=False):
        middle = (of.start_seconds + of.end_seconds) / 2
        is_inside = any(s.start_seconds <= middle <= s.end_seconds for s in spans)
        if score >= opening:
            assert is_inside, middle
        if score < floor:
            assert not is_inside, middle


@pytest.mark.parametrize(
    ("spans", "duration", "expected"),
    [([], 10, 0.0), ([(0, 2), (5, 8)], 10, 0.5), ([(0, 10)], 9.99, 1.0), ([(0, 1)], 0, 1.0)],
)
def test_duration_ratio_is_the_share_that_is_covered(
    spans: list[tuple[float, float]], duration: float, expected: float
) -> None:
    made = [Span("a", start, end, 1.0, 1.0) for start, end in spans]
    assert duration_ratio(made, duration) == pytest.approx(expected)
