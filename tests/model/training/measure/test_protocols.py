"""The protocols on similarities small enough to follow by hand."""

import numpy as np
import pytest

from model.training.measure.metrics import Floats
from model.training.measure.protocols import (
    generalised,
    half_of_classes,
    half_splits,
    harmonic_mean,
    rejection,
)


def test_halves_are_those_of_the_official_code() -> None:
    # np.random.seed(0); np.random.permutation(6)[:3]
    assert half_of_classes(6, 0).tolist() == [5, 2, 1]
    assert len({tuple(half_of_classes(101, draw)) for draw in range(10)}) == 10
    assert len(half_of_classes(101, 0)) == 50


def test_half_of_the_classes_is_easier_than_all() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(20, size=400)
    similarities = rng.normal(size=(400, 20)) + 1.5 * np.eye(20)[targets]
    figures = half_splits(similarities, targets)
    everything = (similarities.argmax(axis=1) == targets).mean()
    assert len(figures.top1) == 10
    assert min(figures.top1) > everything
    assert all(five >= one for one, five in zip(figures.top1, figures.top5, strict=True))


def test_half_splits_ask_only_among_the_half() -> None:
    # each sample is most similar to its own class, then to the next
    similarities = np.eye(4) + 0.5 * np.roll(np.eye(4), 1, axis=1)
    assert half_splits(similarities, np.arange(4)).top1 == (1.0,) * 10


def test_one_class_has_no_half() -> None:
    with pytest.raises(ValueError, match="two"):
        half_splits(np.ones((1, 1)), np.array([0]))


def test_rejection_is_sure_when_unknown_samples_resemble_nothing() -> None:
    assert rejection(np.eye(6), np.arange(6)) == (1.0,) * 10
    assert rejection(np.ones((6, 6)), np.arange(6)) == (0.5,) * 10


def test_rejection_may_be_measured_by_another_value_than_the_best_similarity() -> None:
    def least_known(similarities: Floats) -> Floats:
        most: Floats = similarities.max(axis=1)
        return -most

    assert rejection(np.eye(6), np.arange(6), knownness=least_known) == (0.0,) * 10


# two seen classes (0, 1) and two unseen (2, 3); seen minus unseen best: 0.4, 0.2, 0.3, -0.1
SIMILARITIES = np.array(
    [
        [0.9, 0.1, 0.5, 0.0],  # class 0, right below a handicap of 0.4
        [0.2, 0.6, 0.0, 0.4],  # class 1, right below 0.2
        [0.8, 0.0, 0.5, 0.1],  # class 2, right above 0.3
        [0.3, 0.2, 0.0, 0.4],  # class 3, right above -0.1
    ]
)
IS_SEEN = np.array([True, True, False, False])


def test_the_curve_of_seen_and_unseen_has_a_step_where_an_answer_changes() -> None:
    curve = generalised(SIMILARITIES, np.arange(4), IS_SEEN)
    assert curve.breakpoints == pytest.approx((-0.1, 0.2, 0.3, 0.4))
    assert curve.seen == pytest.approx((1.0, 1.0, 0.5, 0.5, 0.0))
    assert curve.unseen == pytest.approx((0.0, 0.5, 0.5, 1.0, 1.0))
    assert curve.at(0.0) == (1.0, 0.5)
    assert curve.at(0.35) == (0.5, 1.0)
    # trapezoids over unseen: 0.5 wide at height 1, 0.5 wide at height 0.5
    assert curve.area == pytest.approx(0.75)
    assert curve.best_harmonic == pytest.approx(2 / 3)
    assert harmonic_mean(*curve.at(curve.best_handicap)) == pytest.approx(2 / 3)


def test_the_curve_agrees_with_asking_at_each_handicap() -> None:
    rng = np.random.default_rng(5)
    targets = rng.integers(6, size=60)
    similarities = rng.normal(size=(60, 6)).round(1) + np.eye(6)[targets]
    is_seen = np.array([True, False, True, False, True, False])
    curve = generalised(similarities, targets, is_seen)
    for handicap in (-3.03, -0.55, 0.03, 0.77, 3.03):
        moved = similarities - handicap * is_seen
        own = moved[np.arange(60), targets]
        right = (moved >= own[:, np.newaxis]).sum(axis=1) == 1
        expected = [
            np.mean([right[targets == c].mean() for c in range(6) if is_seen[c] == side])
            for side in (True, False)
        ]
        assert curve.at(handicap) == pytest.approx(expected)


def test_a_class_of_many_samples_counts_as_one() -> None:
    similarities = np.array([[1.0, 0.0], [0.0, 0.1], [0.2, 0.1]])
    curve = generalised(similarities, np.array([0, 1, 1]), np.array([True, False]))
    assert curve.at(0.0) == (1.0, 0.5)


def test_without_unseen_samples_there_is_no_curve() -> None:
    with pytest.raises(ValueError, match="unseen"):
        generalised(np.eye(2), np.array([0, 0]), np.array([True, False]))


def test_the_harmonic_mean_of_nothing_is_nothing() -> None:
    assert harmonic_mean(0.0, 0.0) == 0.0
    assert harmonic_mean(0.5, 1.0) == pytest.approx(2 / 3)
