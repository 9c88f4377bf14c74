"""Figures against hand computation: small matrices whose answers fit on paper."""

import math

import numpy as np
import pytest

from model.training.metrics import (
    accuracy,
    auroc,
    class_means,
    confusions,
    hits_at,
    reliability,
)

# four samples, three classes; the right ones rank 1, 2, 3 and 1
SIMILARITIES = np.array([[0.9, 0.5, 0.1], [0.6, 0.5, 0.4], [0.5, 0.4, 0.3], [0.0, 0.1, 0.2]])
TARGETS = np.array([0, 1, 2, 2])


def test_a_hit_is_a_rank_within_k() -> None:
    assert hits_at(SIMILARITIES, TARGETS, 1).tolist() == [True, False, False, True]
    assert hits_at(SIMILARITIES, TARGETS, 2).tolist() == [True, True, False, True]


def test_a_tie_is_no_hit() -> None:
    assert not hits_at(np.ones((2, 3)), np.array([0, 2]), 2).any()


def test_accuracy_is_given_over_samples_and_over_classes() -> None:
    figures = accuracy(SIMILARITIES, TARGETS)
    assert figures.top1 == 2 / 4
    assert figures.class_top1 == pytest.approx((1 + 0 + 1 / 2) / 3)
    assert figures.top5 == figures.class_top5 == 1.0
    assert (figures.samples, figures.classes) == (4, 3)


def test_accuracy_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        accuracy(np.empty((0, 3)), np.empty(0, np.int64))


def test_a_class_without_samples_has_no_mean() -> None:
    means = class_means(np.array([1, 0, 1]), np.array([0, 0, 2]), 3)
    assert means[[0, 2]].tolist() == [0.5, 1.0]
    assert math.isnan(means[1])


def test_auroc_counts_ordered_pairs_and_half_of_the_ties() -> None:
    # pairs: 3>1, 3>2, 2>1 ordered, 2=2 a tie: 3.5 of 4
    assert auroc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == 3.5 / 4
    assert auroc(np.array([0.0]), np.array([1.0])) == 0.0


def test_calibration_error_weighs_the_gap_of_each_bin_by_its_samples() -> None:
    diagram = reliability(np.array([0.1, 0.2, 0.9, 1.0]), np.array([0, 1, 1, 1], bool), bins=2)
    assert diagram.counts == (2, 2)
    assert diagram.confidence == pytest.approx((0.15, 0.95))
    assert diagram.share_right == (0.5, 1.0)
    assert diagram.error == pytest.approx((2 * 0.35 + 2 * 0.05) / 4)


def test_an_empty_bin_adds_no_error() -> None:
    diagram = reliability(np.array([0.75]), np.array([True]), bins=4)
    assert diagram.counts == (0, 0, 0, 1)
    assert math.isnan(diagram.confidence[0])
    assert diagram.error == 0.25


def test_confusions_name_the_wrong_pairs_most_frequent_first() -> None:
    similarities = np.eye(3)[[1, 1, 0, 0, 1, 2]]
    found = confusions(similarities, np.array([0, 0, 0, 1, 2, 2]), "abc", most=2)
    assert [(c.true, c.predicted, c.count) for c in found] == [("a", "b", 2), ("b", "a", 1)]
    assert [c.share for c in found] == pytest.approx([2 / 3, 1.0])


def test_right_answers_are_no_confusions() -> None:
    assert confusions(np.eye(3), np.arange(3), "abc", most=5) == []
