"""From a file to tags, with a network and a text model that can be computed on paper."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from model import (
    Calibration,
    CalibrationConfig,
    FrameBatch,
    Label,
    NotAVideo,
    Tagger,
    Unknown,
    VideoLimits,
    VideoTooLong,
    label_key,
)
from model.text.knowledge import Knowledge
from tests.support.clips import COLOURS, clip_bytes
from tests.support.fakes import ColourText, colour_tagger

# H.264 keeps the colours of `tests.support.clips` to within a few steps of 255.
CLOSE = 0.02


@pytest.fixture
def tagger() -> Tagger:
    return colour_tagger()


def clip(*colours: str, **options: object) -> io.BytesIO:
    return io.BytesIO(clip_bytes(seconds_colours=colours, **options))


def direction(*colours: str) -> npt.NDArray[np.float64]:
    """The mean of these colours, scaled to unit length."""
    mean = np.mean([COLOURS[colour] for colour in colours], axis=0)
    unit: npt.NDArray[np.float64] = mean / np.linalg.norm(mean)
    return unit


def batch(tagger: Tagger, *colours: str, size: tuple[int, int] = (32, 32)) -> FrameBatch:
    """One window whose frames go through the colours in turn."""
    count = tagger.sampling.clips * tagger.sampling.frames_per_clip
    frames = np.empty((count, *size, 3), np.uint8)
    for number in range(count):
        frames[number] = COLOURS[colours[number * len(colours) // count]]
    return FrameBatch(frames, np.arange(count, dtype=np.float64))


def test_a_red_video_is_red(tagger: Tagger) -> None:
    index = tagger.index([Label("blue"), Label("green"), Label("red")])

    tagged = tagger.tag(clip("red", width=64, height=48, fps=10), index)

    # (220, 30, 30) / |(220, 30, 30)| against the axes
    best, *others = tagged.tags
    assert (best.label, best.rank, best.prompt) == ("red", 1, "red")
    assert best.similarity == pytest.approx(0.982, abs=CLOSE)
    assert best.score == pytest.approx(1 / (1 + np.exp(5 - 9.82)), abs=CLOSE)
    assert {tag.label for tag in others} == {"green", "blue"}
    assert [tag.rank for tag in others] == [2, 3]
    assert all(tag.similarity == pytest.approx(0.134, abs=CLOSE) for tag in others)
    assert (tagged.video.width, tagged.video.height, tagged.video.duration_seconds) == (64, 48, 1)


def test_a_video_is_the_mean_of_what_it_shows(tagger: Tagger) -> None:
    info, embedding = tagger.embed(clip("red", "green", "blue", "blue"))

    assert info.duration_seconds == pytest.approx(4.0)
    assert embedding.shape == (3,)
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(embedding, direction("red", "green", "blue", "blue"), atol=CLOSE)


def test_top_k_limits_the_tags(tagger: Tagger) -> None:
    index = tagger.index([Label(name) for name in ("red", "green", "blue")])
    tags = tagger.tag(clip("green"), index, top_k=2).tags
    assert [tag.label for tag in tags][:1] == ["green"]
    assert len(tags) == 2


def test_a_label_below_its_own_threshold_makes_room_for_the_next(tagger: Tagger) -> None:
    index = tagger.index([Label("red", threshold=0.999), Label("green"), Label("blue")])

    tags = tagger.tag(clip("red"), index, top_k=2).tags

    assert {tag.label for tag in tags} == {"green", "blue"}
    assert [tag.rank for tag in tags] == [1, 2]
    assert index.threshold("RED") == 0.999


def test_tags_below_the_minimum_score_are_left_out(tagger: Tagger) -> None:
    index = tagger.index([Label("red"), Label("green")])

    tags = tagger.tag(clip("red"), index, min_score=0.5).tags

    assert [tag.label for tag in tags] == ["red"]


def test_an_alias_answers_under_the_labels_name_and_is_its_prompt(tagger: Tagger) -> None:
    index = tagger.index([Label("warm", aliases=("red", "yellow")), Label("green")])

    [best, _] = tagger.tag(clip("red"), index).tags

    assert (best.label, best.prompt) == ("warm", "red")


def test_prompts_are_averaged_with_the_name(tagger: Tagger) -> None:
    [found] = tagger.prototypes([Label("red", prompts=("green",), aliases=("blue",))])

    assert found.texts == ("red", "blue")
    np.testing.assert_allclose(found.vectors, [[0.5**0.5, 0.5**0.5, 0], [0, 0, 1]], atol=1e-6)
    np.testing.assert_array_equal(found.background, [[0, 1], [0, 1]])


def test_labels_are_embedded_in_one_run_in_templates_less_the_mean() -> None:
    text = ColourText()
    tagger = replace(
        colour_tagger(text=text),
        templates=("{}", "a {} thing"),
        text_mean=np.array([0.0, 0.6, 0.0], np.float32),
    )

    found = tagger.prototypes([Label("red"), Label("green", aliases=("blue",))])

    assert text.encoded == [
        "red",
        "a red thing",
        "green",
        "a green thing",
        "blue",
        "a blue thing",
    ]
    assert [len(each.vectors) for each in found] == [1, 2]
    slanted = 1 / (1 + 0.36) ** 0.5
    np.testing.assert_allclose(found[0].vectors, [[slanted, -0.6 * slanted, 0]], atol=1e-6)
    np.testing.assert_allclose(found[1].vectors[0], [0, 1, 0], atol=1e-6)


def test_scores_come_from_the_similarity_standardised_by_the_bank(tagger: Tagger) -> None:
    bank = np.array([[1, 0, 0], [0.6, 0.8, 0]], np.float32)
    tagger = replace(
        tagger, calibration=Calibration(CalibrationConfig(score_slope=2.0, score_bias=-1.0), bank)
    )

    [tag] = tagger.tag(clip("red"), tagger.index([Label("red")])).tags

    # the bank's similarities to red are 1 and 0.6: mean 0.8, spread 0.2
    standardised = (tag.similarity - 0.8) / 0.2
    assert tag.similarity == pytest.approx(0.982, abs=CLOSE)
    assert tag.score == pytest.approx(1 / (1 + np.exp(1 - 2 * standardised)), abs=1e-4)


def test_without_labels_everything_is_unknown(tagger: Tagger) -> None:
    assert tagger.prototypes([]) == []
    tagged = tagger.tag(clip("red"), tagger.index([]))
    assert tagged.tags == ()
    assert tagged.unknown == Unknown(1.0, True)


def test_labels_compete_with_each_other_and_with_reference_actions(tagger: Tagger) -> None:
    reference = np.array([[0, 0, 1]], np.float32)
    config = CalibrationConfig(score_slope=2.0, score_bias=-1.0, reference_bias=0.5, rivalry=0.5)
    tagger = replace(tagger, calibration=Calibration(config, reference=reference))
    index = tagger.index([Label("red"), Label("green")])

    tags, unknown = tagger.tag_embedding(np.array([0.8, 0.0, 0.6], np.float32), index)

    red, green, none = np.exp(2 * 0.8 - 1), np.exp(-1.0), 1 + np.exp(2 * 0.6 + 0.5)
    assert [tag.score for tag in tags] == pytest.approx(
        [red / (red + none + green / 2), green / (green + none + red / 2)], rel=1e-5
    )
    assert unknown.score == pytest.approx(none / (none + red + green), rel=1e-5)


def test_scores_do_not_depend_on_the_number_of_tags(tagger: Tagger) -> None:
    config = CalibrationConfig(score_slope=2.0, rivalry=1.0)
    tagger = replace(tagger, calibration=Calibration(config))
    index = tagger.index([Label("red"), Label("green"), Label("blue")])
    video = np.array([0.8, 0.0, 0.6], np.float32)

    all_tags, unknown = tagger.tag_embedding(video, index, top_k=3)

    assert tagger.tag_embedding(video, index, top_k=1) == (all_tags[:1], unknown)


def test_an_embedding_of_nan_is_unknown_and_has_no_tags(tagger: Tagger) -> None:
    reference = np.eye(3, dtype=np.float32)
    tagger = replace(tagger, calibration=Calibration(CalibrationConfig(), reference=reference))
    video = np.full(3, np.nan, np.float32)
    index = tagger.index([Label("red")])
    assert tagger.tag_embedding(video, index) == ((), Unknown(1.0, True))


def knowledge(phrases: list[str]) -> Knowledge:
    """Two classes with one colour as phrase each, for embeddings of 3 + 2 + 1 numbers."""
    vectors = ColourText().encode(phrases)
    eye = np.eye(2, dtype=np.float32)
    return Knowledge(vectors, np.arange(3), eye, np.zeros(2, np.float32), direct_share=1.0)


def test_knowledge_extends_the_labels_and_changes_the_text_space(tagger: Tagger) -> None:
    bank = np.eye(6, dtype=np.float32)
    known = [
        replace(
            tagger,
            calibration=Calibration(CalibrationConfig(), bank),
            knowledge=knowledge(["red", colour]),
        )
        for colour in ("green", "blue")
    ]

    [[red], [green]] = (
        made.vectors for made in known[0].prototypes([Label("red"), Label("green")])
    )

    assert red.shape == (6,)
    assert red[3] > red[4] == 0
    assert green[4] > green[3] == 0
    assert len({known[0].text_space, known[1].text_space, tagger.text_space}) == 3


def test_what_is_far_from_every_label_is_unknown(tagger: Tagger) -> None:
    index = tagger.index([Label("green"), Label("blue")])
    assert tagger.tag(clip("red"), index).unknown.is_unknown
    known = tagger.tag(clip("green"), index).unknown
    assert not known.is_unknown
    assert known.score < tagger.calibration.config.unknown_limit


def test_windows_of_one_or_several_sizes_are_embedded_in_order(tagger: Tagger) -> None:
    wide = replace(tagger.preprocess, max_aspect_ratio=2.0)
    tagger = replace(tagger, preprocess=wide)
    shown = [("red", (32, 32)), ("green", (32, 64)), ("blue", (32, 32)), ("yellow", (64, 32))]

    embeddings = tagger.embed_frames([batch(tagger, name, size=size) for name, size in shown])

    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, [direction(name) for name, _ in shown], atol=1e-6)


def test_no_windows_no_embeddings(tagger: Tagger) -> None:
    assert tagger.embed_frames([]).shape == (0, 3)


def test_what_is_no_video_and_what_is_over_a_limit_raise(tagger: Tagger) -> None:
    index = tagger.index([Label("red")])
    with pytest.raises(NotAVideo):
        tagger.tag(io.BytesIO(b"hello"), index)
    with pytest.raises(VideoTooLong):
        tagger.tag(clip("red", "red"), index, limits=VideoLimits(max_duration_seconds=1.0))


def test_a_file_is_read_from_its_start_and_may_be_tagged_again(tagger: Tagger) -> None:
    file, index = clip("blue"), tagger.index([Label("red"), Label("blue")])
    first = tagger.tag(file, index)
    assert tagger.tag(file, index) == first
    assert first.tags[0].label == "blue"


class OtherText(ColourText):
    """Another text model, by its hash."""

    model_hash = "other colours"


@pytest.mark.parametrize(
    "change",
    [
        {"text": OtherText()},
        {"templates": ("{}", "a {}")},
        {"text_mean": np.array([0.1, 0, 0], np.float32)},
        {"calibration": Calibration(CalibrationConfig(), np.eye(3, dtype=np.float32))},
        {"calibration": Calibration(CalibrationConfig(nearest_share=0.5))},
    ],
    ids=["text", "templates", "text_mean", "bank", "nearest_share"],
)
def test_whatever_changes_stored_prototypes_changes_the_text_space(
    tagger: Tagger, change: dict[str, Any]
) -> None:
    assert replace(tagger, **change).text_space != tagger.text_space


def test_what_does_not_change_stored_prototypes_leaves_the_text_space(tagger: Tagger) -> None:
    other = replace(
        colour_tagger(),
        model_id="other",
        calibration=Calibration(CalibrationConfig(score_slope=3.0)),
    )
    assert other.text_space == tagger.text_space == colour_tagger().text_space


def test_an_index_takes_another_label_between_two_searches(tagger: Tagger) -> None:
    index = tagger.index([Label("green")])
    [red] = tagger.prototypes([Label("red")])
    extended = index.upsert([("red", red)])
    file = clip("red")
    assert [tag.label for tag in tagger.tag(file, index).tags] == ["green"]
    assert [tag.label for tag in tagger.tag(file, extended).tags] == ["red", "green"]


def test_of_two_spellings_the_later_is_the_label(tagger: Tagger) -> None:
    index = tagger.index([Label("red"), Label(" RED")])
    assert [label_key(name) for name in index.names] == ["red"]
