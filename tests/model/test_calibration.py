"""Scores mean the same for every label, and are coherent with `unknown`."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import (
    RIVALS,
    Calibration,
    CalibrationConfig,
    ScoreScale,
    VideoRanking,
)

BANK = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.6, 0.8]], np.float32)
values = st.floats(-1e6, 1e6)


def test_background_is_mean_and_spread_over_the_bank() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)

    background = Calibration(CalibrationConfig(), BANK).background_of(vectors)

    # similarities 1, 0, -1, 0.6 and 0, 1, 0, 0.8
    expected = np.array([[0.15, np.std([1, 0, -1, 0.6])], [0.45, np.std([0, 1, 0, 0.8])]])
    assert background.dtype == np.float32
    np.testing.assert_allclose(background, expected, atol=1e-6)


def test_a_label_equally_similar_to_everything_gets_the_minimum_spread() -> None:
    bank = np.array([[0.6, 0.8], [0.6, -0.8]], np.float32)
    background = Calibration(CalibrationConfig(), bank).background_of(
        np.array([[1.0, 0.0]], np.float32)
    )
    np.testing.assert_allclose(background, [[0.6, 0.001]], atol=1e-6)


def test_without_a_bank_similarities_do_not_change() -> None:
    background = Calibration(CalibrationConfig()).background_of(BANK)
    np.testing.assert_array_equal(background, [[0.0, 1.0]] * 4)


def test_a_label_with_near_clips_in_the_bank_has_a_higher_level() -> None:
    rng = np.random.default_rng(0)
    bank = rng.standard_normal((200, 8)).astype(np.float32)
    bank[:5] = np.eye(8, dtype=np.float32)[0] + 0.1 * bank[:5]  # clips of the first label
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    labels = np.eye(8, dtype=np.float32)[:2]

    levels = {
        share: Calibration(CalibrationConfig(nearest_share=share), bank).background_of(labels)
        for share in (0.0, 0.5, 1.0)
    }

    best_three = np.sort(labels @ bank.T, axis=1)[:, -3:].mean(axis=1)
    np.testing.assert_allclose(levels[1.0][:, 0], best_three, atol=1e-6)
    np.testing.assert_allclose(levels[0.5], (levels[0.0] + levels[1.0]) / 2, atol=1e-6)
    raised = levels[0.5][:, 0] - levels[0.0][:, 0]
    assert raised[0] > raised[1] + 0.05


def test_a_bank_of_fewer_clips_than_the_nearest_is_used_whole() -> None:
    level = Calibration(CalibrationConfig(nearest_share=1.0), BANK[:2]).background_of(BANK[:1])
    np.testing.assert_allclose(level, [[0.5, 0.5]], atol=1e-6)


def test_no_vectors_have_no_background() -> None:
    empty = np.empty((0, 2), np.float32)
    assert Calibration(CalibrationConfig(), BANK).background_of(empty).shape == (0, 2)


def scale_of(similarities: list[float], none: float = 1.0, **parameters: Any) -> ScoreScale:
    calibration = Calibration(CalibrationConfig(**parameters))
    return calibration.scale(sorted(similarities, reverse=True), none)


@pytest.mark.parametrize(
    ("standardised", "expected"),
    [(1.5, 0.5), (2.5, 1 / (1 + math.exp(-2))), (0.5, 1 / (1 + math.exp(2))), (-400, 0), (400, 1)],
)
def test_without_rivalry_a_score_is_the_logistic_of_slope_and_bias(
    standardised: float, expected: float
) -> None:
    for others in ([], [standardised - 1.0]):
        scale = scale_of([standardised, *others], score_slope=2.0, score_bias=-3.0)
        assert scale.score(standardised) == pytest.approx(expected)


def test_scores_and_unknown_of_two_labels_by_hand() -> None:
    # weights exp(1 + 1) and exp(0 + 1); none of them weighs 3
    one, two = math.exp(2), math.exp(1)
    for rivalry in (0.0, 0.25, 1.0):
        scale = scale_of([1.0, 0.0], none=3.0, score_bias=1.0, rivalry=rivalry)
        assert scale.score(1.0) == pytest.approx(one / (one + 3 + rivalry * two))
        assert scale.score(0.0) == pytest.approx(two / (two + 3 + rivalry * one))
        assert scale.unknown == pytest.approx(3 / (3 + one + two))


def test_with_full_rivalry_all_scores_and_unknown_are_one_together() -> None:
    scale = scale_of([2.0, 1.0, -1.0], none=4.0, rivalry=1.0)
    total = sum(scale.score(value) for value in (2.0, 1.0, -1.0)) + scale.unknown
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("rivalry", [0.0, 0.5, 1.0])
def test_the_score_of_a_label_alone_and_unknown_are_one_together(rivalry: float) -> None:
    scale = scale_of([0.7], none=2.0, rivalry=rivalry)
    assert scale.score(0.7) == pytest.approx(math.exp(0.7) / (math.exp(0.7) + 2))
    assert scale.score(0.7) + scale.unknown == pytest.approx(1.0)


def test_no_labels_are_unknown() -> None:
    assert scale_of([]).unknown == 1.0


def test_reference_actions_that_fit_better_than_the_labels_make_a_video_unknown() -> None:
    reference = np.array([[0.0, 1.0], [0.6, 0.8]], np.float32)
    config = CalibrationConfig(score_slope=2.0, reference_bias=-1.0)
    calibration = Calibration(config, reference=reference)
    videos = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)

    weights = calibration.none_weights(videos)

    # the similarities are 0 and 0.6, then 1 and 0.8
    expected = [
        1 + math.exp(-1) + math.exp(2 * 0.6 - 1),
        1 + math.exp(2 - 1) + math.exp(2 * 0.8 - 1),
    ]
    assert weights == pytest.approx(expected)
    first, second = (calibration.scale([0.5], none) for none in weights.tolist())
    assert first.unknown < second.unknown
    assert first.score(0.5) > second.score(0.5)


def test_similarities_to_reference_actions_are_standardised_as_those_to_labels() -> None:
    reference = np.array([[0.6, 0.8]], np.float32)
    calibration = Calibration(CalibrationConfig(reference_bias=-0.5), BANK, reference)
    [[level, spread]] = calibration.background_of(reference)

    [weight] = calibration.none_weights(BANK[:1])

    assert weight == pytest.approx(1 + math.exp((0.6 - level) / spread - 0.5))


def test_without_reference_actions_none_weighs_one() -> None:
    weights = Calibration(CalibrationConfig(), BANK).none_weights(BANK)
    np.testing.assert_array_equal(weights, np.ones(4))


def test_labels_after_the_rivals_do_not_count() -> None:
    many = [5.0 - 0.1 * rank for rank in range(RIVALS + 40)]
    calibration = Calibration(CalibrationConfig(rivalry=1.0))

    assert calibration.scale(many, 1.0) == calibration.scale(many[:RIVALS], 1.0)
    scores = [calibration.scale(many, 1.0).score(value) for value in many]
    assert scores == sorted(scores, reverse=True)


@given(
    similarities=st.lists(values, min_size=1, max_size=40),
    none=st.floats(1.0, 1e12),
    slope=st.floats(0.0, 50.0),
    bias=st.floats(-50.0, 50.0),
    rivalry=st.floats(0.0, 1.0),
)
def test_the_best_score_and_unknown_never_exceed_one_together(
    similarities: list[float], none: float, slope: float, bias: float, rivalry: float
) -> None:
    scale = scale_of(similarities, none, score_slope=slope, score_bias=bias, rivalry=rivalry)

    scores = [scale.score(value) for value in sorted(similarities)]

    assert 0.0 <= scale.unknown <= 1.0
    assert all(0.0 <= score <= 1.0 for score in scores)
    assert scores == sorted(scores)
    assert scores[-1] + scale.unknown <= 1.0


@given(st.lists(values, min_size=2, max_size=40), st.floats(0.0, 1.0))
def test_a_further_label_makes_no_other_score_and_no_unknown_higher(
    similarities: list[float], rivalry: float
) -> None:
    best = max(similarities)
    fewer, more = (scale_of(of, 1.0, rivalry=rivalry) for of in ([best], similarities))
    rounding = 1e-12
    assert more.score(best) <= fewer.score(best) + rounding
    assert more.unknown <= fewer.unknown + rounding


def test_an_embedding_of_nan_breaks_nothing() -> None:
    calibration = Calibration(CalibrationConfig(), BANK, BANK)
    weights = calibration.none_weights(np.full((1, 2), np.nan, np.float32))
    assert np.isnan(weights).all()


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_parameters_must_be_finite(wrong: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        CalibrationConfig(score_slope=wrong)


@pytest.mark.parametrize("wrong", [-0.1, 1.5])
@pytest.mark.parametrize("name", ["nearest_share", "rivalry"])
def test_shares_must_be_in_0_to_1(name: str, wrong: float) -> None:
    share: dict[str, Any] = {name: wrong}
    with pytest.raises(ValueError, match=name):
        CalibrationConfig(**share)


def test_a_higher_similarity_must_not_give_a_lower_score() -> None:
    with pytest.raises(ValueError, match="score_slope"):
        CalibrationConfig(score_slope=-1.0)


def test_videos_are_ranked_by_the_score_that_a_label_has_on_each() -> None:
    random = np.random.default_rng(0)
    videos, reference, [label] = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in (random.standard_normal((size, 6)).astype(np.float32) for size in (40, 3, 1))
    )
    config = CalibrationConfig(score_slope=4.0, score_bias=-1.0, reference_bias=0.5)
    calibration = Calibration(config, videos[:20], reference)
    [(level, spread)] = calibration.background_of(label[np.newaxis]).tolist()
    ranking = VideoRanking(calibration)

    query = ranking.query(label, level, spread)
    levels, spreads = ranking.background(videos).T
    ranked = ((videos @ query.vector - levels) / spreads).tolist()

    standardised = ((videos @ label - level) / spread).tolist()
    scores = [
        calibration.scale([each], none).score(each)
        for each, none in zip(standardised, calibration.none_weights(videos), strict=True)
    ]
    np.testing.assert_allclose([query.score(value) for value in ranked], scores, rtol=1e-4)
    assert np.argsort(ranked).tolist() == np.argsort(scores).tolist()
    assert np.argsort(standardised).tolist() != np.argsort(scores).tolist()


def test_the_number_of_videos_weighs_against_the_best_of_them() -> None:
    assert Calibration.unknown_among(0.2, 1) == pytest.approx(0.2)
    assert Calibration.unknown_among(0.2, 16) == pytest.approx(0.5)
    assert Calibration.unknown_among(1.0, 16) == 1.0
    assert Calibration.unknown_among(0.0, 16) == 0.0


def test_without_a_slope_all_videos_rank_alike() -> None:
    calibration = Calibration(CalibrationConfig(score_slope=0.0), BANK, BANK[:1])

    background = VideoRanking(calibration).background(BANK)

    np.testing.assert_array_equal(background[:, 0], 0.0)
