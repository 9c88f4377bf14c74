"""Tags of windows merged into segments."""

from collections.abc import Mapping, Sequence

import pytest

from model import Hysteresis, Tag, Window
from model.segments import DEFAULT_HYSTERESIS, Timeline, merge_tags


def timeline(
    scores: Sequence[Mapping[str, float]],
    *,
    top_k: int = 5,
    min_score: float = 0.0,
    thresholds: Mapping[str, float] | None = None,
    stride: float = 1.0,
    window: float = 1.0,
    hysteresis: Hysteresis = DEFAULT_HYSTERESIS,
) -> Timeline:
    windows = [Window(i * stride, i * stride + window) for i in range(len(scores))]
    tags = [
        [
            Tag(label, score, score, rank, label)
            for rank, (label, score) in enumerate(
                sorted(of.items(), key=lambda item: -item[1]), start=1
            )
        ]
        for of in scores
    ]
    return merge_tags(
        windows,
        tags,
        top_k=top_k,
        min_score=min_score,
        thresholds=thresholds or {},
        duration_seconds=windows[-1].end_seconds if windows else 0.0,
        hysteresis=hysteresis,
    )


def spans(merged: Timeline) -> list[tuple[float, float, dict[str, float]]]:
    return [
        (s.start_seconds, s.end_seconds, {tag.label: tag.score for tag in s.tags})
        for s in merged.segments
    ]


def test_neighbouring_windows_of_a_label_are_one_segment_with_its_best_score() -> None:
    merged = timeline([{"a": 0.6}, {"a": 0.9}, {"a": 0.5}, {"b": 0.8}])

    assert spans(merged) == [(0, 3, {"a": 0.9}), (3, 4, {"b": 0.8})]
    assert merged.duration_ratios == {"a": 0.75, "b": 0.25}


def test_a_dip_does_not_end_a_segment_but_a_gap_does() -> None:
    merged = timeline([{"a": 0.9}, {"a": 0.3}, {"a": 0.9}, {"a": 0.01}, {"a": 0.9}])

    assert spans(merged) == [(0, 3, {"a": 0.9}), (4, 5, {"a": 0.9})]


def test_labels_of_the_same_span_share_a_segment_best_first() -> None:
    merged = timeline([{"a": 0.6, "b": 0.9}])

    assert spans(merged) == [(0, 1, {"b": 0.9, "a": 0.6})]
    assert [tag.rank for tag in merged.segments[0].tags] == [1, 2]


def test_what_is_weak_beside_the_best_of_the_video_is_left_out() -> None:
    assert spans(timeline([{"a": 0.9, "b": 0.25}, {"b": 0.1}])) == [(0, 1, {"a": 0.9})]


def test_a_video_without_a_strong_label_still_has_its_best_moments() -> None:
    assert spans(timeline([{"a": 0.02}, {"a": 0.2}, {"a": 0.02}])) == [(1, 2, {"a": 0.2})]


def test_min_score_and_a_labels_threshold_keep_segments_away() -> None:
    scores = [{"a": 0.6, "b": 0.5}]

    assert spans(timeline(scores, min_score=0.55)) == [(0, 1, {"a": 0.6})]
    assert spans(timeline(scores, min_score=0.7)) == []
    assert spans(timeline(scores, thresholds={"a": 0.7})) == [(0, 1, {"b": 0.5})]


def test_min_score_and_a_labels_threshold_bound_the_time_of_segments() -> None:
    scores = [{"a": 0.9}, {"a": 0.55}, {"a": 0.5}, {"a": 0.9}]

    assert spans(timeline(scores)) == [(0, 4, {"a": 0.9})]
    assert spans(timeline(scores, min_score=0.55)) == [(0, 2, {"a": 0.9}), (3, 4, {"a": 0.9})]
    assert spans(timeline(scores, thresholds={"a": 0.6})) == [
        (0, 1, {"a": 0.9}),
        (3, 4, {"a": 0.9}),
    ]


def test_without_hysteresis_every_window_of_a_segment_reaches_the_opening_score() -> None:
    scores = [{"a": 0.9}, {"a": 0.26}, {"a": 0.9}, {"a": 0.3}]

    off = timeline(scores, window=2, hysteresis=Hysteresis(keep_share=1.0))

    assert spans(timeline(scores, window=2)) == [(0, 5, {"a": 0.9})]
    assert spans(off) == [(0, 1.5, {"a": 0.9}), (2.5, 5, {"a": 0.9})]


def test_only_labels_that_are_asked_for_somewhere_have_segments() -> None:
    merged = timeline([{"a": 0.9, "b": 0.8}, {"a": 0.9, "b": 0.8}], top_k=1)

    assert spans(merged) == [(0, 2, {"a": 0.9})]


def test_segments_of_overlapping_windows_meet_in_the_middle_and_have_their_own_best_score() -> None:
    merged = timeline([{"a": 0.9}, {"a": 0.8}, {"b": 0.6}, {}, {"a": 0.7}], stride=1, window=2)

    assert spans(merged) == [(0, 2.5, {"a": 0.9}), (2.5, 3.5, {"b": 0.6}), (4.5, 6, {"a": 0.7})]


@pytest.mark.parametrize("scores", [[], [{}], [{}, {}]])
def test_nothing_found_is_no_segment(scores: Sequence[Mapping[str, float]]) -> None:
    merged = timeline(scores)

    assert (merged.segments, merged.duration_ratios) == ((), {})
