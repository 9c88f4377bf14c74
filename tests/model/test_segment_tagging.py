"""A video tagged over time by the library, with a network that can be computed on paper."""

import io
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from model import (
    Hysteresis,
    Label,
    LabelIndex,
    NotAVideo,
    Segment,
    TaggedSegments,
    Tagger,
    VideoLimits,
    VideoTooLong,
    WindowPlan,
)
from model.video.reader import probe
from tests.support.clips import COLOURS, clip_bytes
from tests.support.fakes import ColourEncoder, colour_tagger

# H.264 keeps colours to within a few steps of 255.
CLOSE = 0.02
FILM = ["red"] * 4 + ["green"] * 4


def film(*colours: str) -> io.BytesIO:
    return io.BytesIO(clip_bytes(seconds_colours=colours or FILM))


def index_of(tagger: Tagger, *labels: Label | str) -> LabelIndex:
    return tagger.index([Label(each) if isinstance(each, str) else each for each in labels])


def spans(segments: tuple[Segment, ...]) -> list[tuple[float, float, list[str]]]:
    return [
        (segment.start_seconds, segment.end_seconds, [tag.label for tag in segment.tags])
        for segment in segments
    ]


def redness(colour: str) -> float:
    """The cosine of a colour and the red axis."""
    return COLOURS[colour][0] / float(np.linalg.norm(COLOURS[colour]))


def tagged(*labels: Label | str) -> TaggedSegments:
    tagger = colour_tagger()
    return tagger.segments(
        film(), index_of(tagger, *labels), window_seconds=2.0, stride_seconds=2.0, min_score=0.5
    )


def test_each_colour_is_found_where_it_is_shown() -> None:
    found = tagged("red", "green", "blue")

    assert spans(found.segments) == [(0, 4, ["red"]), (4, 8, ["green"])]
    # the score of a cosine x is 1 / (1 + exp(5 - 10 x))
    score = 1 / (1 + np.exp(5 - 10 * redness("red")))
    assert found.segments[0].tags[0].score == pytest.approx(score, abs=CLOSE)
    assert found.segments[0].mean_scores[0] == pytest.approx(score, abs=CLOSE)


def test_tags_of_the_whole_say_how_much_of_the_video_they_cover() -> None:
    ratios = {tag.label: tag.duration_ratio for tag in tagged("red", "green").tags}

    assert ratios == {"red": pytest.approx(0.5), "green": pytest.approx(0.5)}


def test_each_window_has_its_own_tags_and_unknown() -> None:
    found = tagged("red")

    labels = [[tag.label for tag in window.tags] for window in found.windows]
    assert labels == [["red"], ["red"], [], []]
    assert [(window.start_seconds, window.end_seconds) for window in found.windows] == [
        (0, 2),
        (2, 4),
        (4, 6),
        (6, 8),
    ]
    for window, colour in zip(found.windows, FILM[::2], strict=True):
        # of one label, the score and unknown are 1 together
        expected = 1 / (1 + np.exp(10 * redness(colour) - 5))
        # a logistic with a slope of 10 rises by at most 2.5 times what a cosine is off
        assert window.unknown.score == pytest.approx(expected, abs=2.5 * CLOSE)
        assert window.unknown.is_unknown == (colour == "green")
    assert found.unknown == replace(found.windows[0].unknown, duration_ratio=0.5)


def test_the_tags_of_a_film_are_those_of_its_windows_not_of_their_mean() -> None:
    tagger = colour_tagger()
    # the mean of the colours is nearest to grey, which is never shown
    index = index_of(tagger, "grey", "red", "green", "blue")
    shown = ["red", "red", "green", "green", "blue", "blue", "yellow", "yellow"]

    whole = tagger.tag(film(*shown), index)
    found = tagger.segments(film(*shown), index, window_seconds=2.0, stride_seconds=2.0)

    assert whole.tags[0].label == "grey"
    assert {tag.label for tag in found.tags[:3]} == {"red", "green", "blue"}
    assert [tag.rank for tag in found.tags] == [1, 2, 3, 4]
    for tag in found.tags:
        of_windows = [t.score for w in found.windows for t in w.tags if t.label == tag.label]
        assert tag.score == max(of_windows)
    assert found.unknown.score == min(window.unknown.score for window in found.windows)
    assert found.tags[0].score + found.unknown.score <= 1.0


def test_a_film_whose_windows_none_of_the_labels_fits_is_unknown() -> None:
    tagger = colour_tagger()
    found = tagger.segments(film(), index_of(tagger, "blue"), window_seconds=2.0)
    assert found.unknown.is_unknown
    assert found.unknown.duration_ratio == 1.0


def test_a_film_may_have_more_tags_than_its_segments_consider() -> None:
    tagger = colour_tagger()
    names = [f"red {number}" for number in range(150)]
    index = index_of(tagger, *names)

    found = tagger.segments(film("red", "red"), index, window_seconds=2.0, top_k=140)

    assert len({tag.label for tag in found.tags}) == 140
    assert len(found.windows[0].tags) <= 140


def test_a_labels_threshold_bounds_its_segments_and_its_tags() -> None:
    found = tagged(Label("red", threshold=0.999), "green")

    assert spans(found.segments) == [(4, 8, ["green"])]
    assert [tag.label for tag in found.tags] == ["green"]
    assert found.windows[0].tags == ()


def test_a_label_below_its_threshold_takes_no_place_in_the_segments() -> None:
    tagger = colour_tagger()
    index = index_of(tagger, Label("red", threshold=0.999), "white")

    found = tagger.segments(film("red", "red"), index, window_seconds=2.0, top_k=1)

    assert [tag.label for tag in found.tags] == ["white"]
    assert spans(found.segments) == [(0, 2, ["white"])]
    assert found.tags[0].duration_ratio == 1.0


def test_a_higher_opening_score_leaves_weaker_labels_out() -> None:
    tagger = colour_tagger()
    index = index_of(tagger, "red", "green")
    strict = Hysteresis(open_share=1.0, keep_share=1.0)

    found = tagger.segments(film(), index, window_seconds=2.0, hysteresis=strict)

    assert all(tag.score > 0.9 for segment in found.segments for tag in segment.tags)


def test_windows_are_limited_by_a_wider_stride() -> None:
    tagger = colour_tagger()

    found = tagger.segments(
        film(), index_of(tagger, "red"), window_seconds=2.0, stride_seconds=1.0, max_windows=3
    )

    assert found.plan.count == len(found.windows) == 3
    assert found.plan.warnings == ("stride widened to 3.000 s: 3 windows at most",)


def test_windows_may_be_added_in_any_number_of_batches() -> None:
    tagger = colour_tagger()
    index = index_of(tagger, "red", "green", "blue")
    info = probe(film())
    plan = WindowPlan.over(
        info.duration_seconds, window_seconds=2.0, stride_seconds=1.0, max_windows=100
    )
    pixels = np.array([COLOURS[name] for name in ("red", "green")], np.float32)
    colours = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    embeddings = colours[[int(window.start_seconds >= 3.5) for window in plan.windows]]

    def in_batches_of(size: int) -> TaggedSegments:
        tagging = tagger.segment_tagging(info, plan, index, top_k=5, min_score=0.0)
        for start in range(0, plan.count, size):
            tagging.add(embeddings[start : start + size])
        return tagging.finish()

    assert in_batches_of(1) == in_batches_of(3) == in_batches_of(plan.count)


class CountingEncoder(ColourEncoder):
    """Knows colours, and counts the frames that it encodes."""

    def __init__(self) -> None:
        self.frames = 0

    def features(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        self.frames += pixels.shape[0] * pixels.shape[1] * pixels.shape[2]
        return super().features(pixels)


def test_a_frame_that_windows_share_is_encoded_once() -> None:
    encoder = CountingEncoder()
    tagger = colour_tagger(encoder=encoder)
    shown = ["red", "green", "blue", "red", "yellow", "blue", "green", "red"]

    found = tagger.segments(film(*shown), index_of(tagger, "red"), min_score=0.1)

    assert (found.plan.count, encoder.frames) == (3, 8)
    # the mean of colours, before it is scaled to unit length
    for window, first in zip(found.windows, (0, 2, 4), strict=True):
        mean = np.mean([COLOURS[name] for name in shown[first : first + 4]], axis=0)
        [tag] = window.tags
        assert tag.similarity == pytest.approx(mean[0] / np.linalg.norm(mean), abs=CLOSE)


def test_segments_are_not_merged_before_every_window_was_added() -> None:
    tagger = colour_tagger()
    info = probe(film())
    plan = WindowPlan.over(8.0, window_seconds=2.0, stride_seconds=2.0, max_windows=10)
    tagging = tagger.segment_tagging(info, plan, index_of(tagger, "red"), top_k=1, min_score=0.0)
    tagging.add(np.eye(1, 3, dtype=np.float32))

    with pytest.raises(ValueError, match="1 windows added, expected 4"):
        tagging.finish()


def test_what_is_no_video_or_over_a_limit_is_refused() -> None:
    tagger = colour_tagger()
    index = index_of(tagger, "red")

    with pytest.raises(NotAVideo):
        tagger.segments(io.BytesIO(b"not a video"), index)
    with pytest.raises(VideoTooLong):
        tagger.segments(film(), index, limits=VideoLimits(max_duration_seconds=1.0))
