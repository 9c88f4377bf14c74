"""Calibration: scores mean the same for every label; "unknown" depends on the label set's size."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import Calibration, CalibrationConfig, expected_best

BANK = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.6, 0.8]], np.float32)
sizes = st.integers(1, 100_000)
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
    np.testing.assert_allclose(background, [[0.6, 0.02]], atol=1e-6)


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


@pytest.mark.parametrize(
    ("standardised", "expected"),
    [(1.5, 0.5), (2.5, 1 / (1 + math.exp(-2))), (0.5, 1 / (1 + math.exp(2))), (-400, 0), (400, 1)],
)
def test_score_is_the_logistic_of_slope_and_bias(standardised: float, expected: float) -> None:
    calibration = Calibration(CalibrationConfig(score_slope=2.0, score_bias=-3.0))
    assert calibration.score(standardised) == pytest.approx(expected)


@given(values, values)
def test_scores_keep_the_order_and_stay_probabilities(one: float, other: float) -> None:
    calibration = Calibration(CalibrationConfig())
    low, high = sorted((one, other))
    assert 0.0 <= calibration.score(low) <= calibration.score(high) <= 1.0
    assert 1.0 >= calibration.unknown_score(low, 9) >= calibration.unknown_score(high, 9) >= 0.0


def test_unknown_is_relative_to_the_best_similarity_by_chance() -> None:
    calibration = Calibration(CalibrationConfig(unknown_slope=2.0, unknown_bias=0.5))
    by_chance = math.sqrt(2 * math.log(11))
    assert expected_best(10) == pytest.approx(by_chance)
    assert calibration.unknown_score(by_chance + 1.0, 10) == pytest.approx(1 / (1 + math.exp(2.5)))
    assert calibration.unknown_score(by_chance - 0.25, 10) == pytest.approx(0.5)


@given(sizes, sizes)
def test_the_same_similarity_means_less_in_a_larger_label_set(one: int, other: int) -> None:
    calibration = Calibration(CalibrationConfig())
    small, large = sorted((one, other))
    assert calibration.unknown_score(2.0, small) <= calibration.unknown_score(2.0, large)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_parameters_must_be_finite(wrong: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        CalibrationConfig(score_slope=wrong)


@pytest.mark.parametrize("wrong", [-0.1, 1.5])
def test_the_nearest_share_must_be_in_0_to_1(wrong: float) -> None:
    with pytest.raises(ValueError, match="nearest_share"):
        CalibrationConfig(nearest_share=wrong)
