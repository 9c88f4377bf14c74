"""The spans of one label are the segments that SegmentTagging gives for it."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from model import (
    Calibration,
    CalibrationConfig,
    Label,
    LabelIndex,
    Prototypes,
    RankedWindows,
    Tagger,
    VideoInfo,
    VideoRanking,
    WindowPlan,
    label_spans,
)
from tests.support.fakes import colour_tagger


def units(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)
    unit: npt.NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def tagger_of(slope: float) -> Tagger:
    """A tagger of colours with forty reference actions."""
    config = CalibrationConfig(score_slope=slope, score_bias=1.0, reference_bias=-2.0)
    return replace(colour_tagger(), calibration=Calibration(config, units(50, 1), units(40, 2)))


def ranked(tagger: Tagger, plan: WindowPlan, rows: npt.NDArray[np.float32]) -> RankedWindows:
    background = VideoRanking(tagger.calibration).background(rows)
    return RankedWindows(plan.windows, rows, background)


@pytest.mark.parametrize("slope", [0.0, 2.0])
@pytest.mark.parametrize("min_score", [0.0, 0.2])
@pytest.mark.parametrize("stride", [2.0, 4.0])
def test_spans_are_the_segments_of_a_set_of_one_label(
    slope: float, min_score: float, stride: float
) -> None:
    tagger, rows = tagger_of(slope), units(60)
    seconds = 4.0 + stride * 59
    plan = WindowPlan.over(seconds, window_seconds=4.0, stride_seconds=stride, max_windows=60)
    index = tagger.index([Label("green")])
    video = VideoInfo(seconds, 25.0, 64, 48, 0, "h264")
    tagging = tagger.segment_tagging(video, plan, index, top_k=1, min_score=min_score)
    tagging.add(rows)
    tagged = tagging.finish()

    [label] = tagger.prototypes([Label("green")])
    found = label_spans(label, tagger.calibration, ranked(tagger, plan, rows), min_score=min_score)

    assert len(found.spans) == len(tagged.segments)
    for span, segment in zip(found.spans, tagged.segments, strict=True):
        assert (span.start_seconds, span.end_seconds) == (
            segment.start_seconds,
            segment.end_seconds,
        )
        assert span.score == pytest.approx(segment.tags[0].score, rel=1e-6)
        assert span.similarity == pytest.approx(segment.tags[0].similarity, rel=1e-6)
    assert found.unknown == pytest.approx(tagged.unknown.score, rel=1e-6)


def test_a_window_that_is_not_a_number_is_in_no_span() -> None:
    tagger = tagger_of(2.0)
    rows = np.array([[0, 1, 0], [np.nan] * 3, [0, 1, 0]], np.float32)
    plan = WindowPlan.over(6.0, window_seconds=2.0, stride_seconds=2.0, max_windows=3)
    [label] = tagger.prototypes([Label("green")])

    found = label_spans(label, tagger.calibration, ranked(tagger, plan, rows), min_score=0.1)

    assert [(each.start_seconds, each.end_seconds) for each in found.spans] == [(0, 2), (4, 6)]


def test_the_background_of_neighbours_is_read_from_the_index() -> None:
    rows = units(5)
    background = np.abs(units(5, 3)[:, :2])
    items = [
        (f"7:{at}", Prototypes(("w",), rows[at : at + 1], background[at : at + 1]))
        for at in range(5)
    ]
    names = [name for name, _ in items]
    index = LabelIndex.build(items[:2], 3).upsert(items[2:])

    for part in (slice(0, 2), slice(2, 5), slice(3, 4)):
        found = index.background_of(names[part])
        assert found is not None
        np.testing.assert_array_equal(found, background[part])
    assert index.background_of(names) is None, "they are in two blocks"
    assert index.background_of(["8:0"]) is None
    assert index.remove(["7:0"]).background_of(names[:2]) is None
