"""Class-wise intervals and the sign-flip test, where the results are known."""

import numpy as np
import pytest

from model.training.measure.intervals import (
    accuracy_interval,
    paired_difference,
    ratio_interval,
    sign_flip_p,
)

CLASSES = 40
TARGETS = np.repeat(np.arange(CLASSES), 50)


def test_resampling_classes_gives_wider_intervals_than_resampling_samples() -> None:
    whole_classes = TARGETS % 2 == 0
    interval = accuracy_interval(whole_classes, TARGETS)
    assert interval.value == 0.5
    # 40 tosses of 50 samples each: 1.96 * sqrt(0.25 / 40), not sqrt(0.25 / 2000)
    half_width = (interval.high - interval.low) / 2
    assert half_width == pytest.approx(1.96 * np.sqrt(0.25 / CLASSES), rel=0.1)


def test_equal_classes_have_an_interval_of_one_point() -> None:
    interval = accuracy_interval(np.ones(len(TARGETS), bool), TARGETS)
    assert (interval.low, interval.value, interval.high) == (1.0, 1.0, 1.0)


def test_large_classes_weigh_more_in_the_share_of_samples() -> None:
    targets = np.array([7, 7, 7, 9])
    assert accuracy_interval(np.array([1, 1, 1, 0], bool), targets).value == 0.75


def test_the_same_seed_gives_the_same_interval() -> None:
    right = np.random.default_rng(1).random(len(TARGETS)) < 0.3
    assert accuracy_interval(right, TARGETS) == accuracy_interval(right, TARGETS)


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        values = rng.beta(1, 3, size=30)  # skewed, mean 0.25
        interval = ratio_interval(values, np.ones(30), resamples=1000)
        covered += interval.low <= 0.25 <= interval.high
    assert 0.90 <= covered / 200 <= 0.98


def test_a_difference_is_the_mean_over_classes() -> None:
    targets = np.array([0, 0, 0, 0, 1])
    difference = paired_difference(np.array([1, 1, 1, 1, 0]), np.array([1, 1, 0, 0, 1]), targets)
    assert difference.interval.value == pytest.approx((0.5 - 1.0) / 2)
    assert difference.classes == 2


def test_equal_arms_do_not_differ() -> None:
    right = TARGETS % 3 == 0
    difference = paired_difference(right, right, TARGETS)
    assert (difference.interval.low, difference.interval.high) == (0.0, 0.0)
    assert difference.p == 1.0


def test_sign_flips_of_three_classes_are_counted_exactly() -> None:
    # of 8 signs only +++ and --- reach a sum of 6
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == 2 / 8
    # 4 of 8 signs of (1, -1, 3) reach 3: every one with |sum| >= 3
    assert sign_flip_p(np.array([1.0, -1.0, 3.0])) == 6 / 8


def test_sign_flips_of_many_classes_agree_with_the_normal_law() -> None:
    differences = np.random.default_rng(3).normal(0.3, 1.0, size=100)
    z = differences.sum() / np.sqrt((differences**2).sum())
    assert sign_flip_p(differences) == pytest.approx(np.exp(-(z**2) / 2) / 2.0, abs=0.02)
