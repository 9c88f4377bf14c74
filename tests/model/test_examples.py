"""Blending examples into a label's prototypes, compared with values computed by hand."""

import numpy as np
import pytest

from model import Calibration, CalibrationConfig, Prototypes, example_weight
from model.examples import blend
from tests.support.fakes import colour_tagger

X, Y, Z = np.eye(3, dtype=np.float32)


def test_more_examples_have_more_weight_and_never_all_of_it() -> None:
    weights = [example_weight(count) for count in (0, 1, 2, 5, 10, 100)]

    assert weights[0] == 0
    assert weights == sorted(set(weights))
    assert weights[-1] < 1


def test_every_prototype_moves_towards_the_mean_of_the_examples() -> None:
    weight = 0.25
    taught = blend(np.stack([X, Z]), np.stack([Y, Y]), np.zeros(3, np.float32), weight)

    length = np.hypot(weight, 1 - weight)
    assert taught[0] == pytest.approx(np.array([1 - weight, weight, 0]) / length)
    assert taught[1] == pytest.approx(np.array([0, weight, 1 - weight]) / length)


def test_what_all_videos_have_in_common_is_ignored() -> None:
    shared = 10 * Z
    taught = blend(X[np.newaxis], np.stack([Y + shared, Y + shared]), shared, 0.5)

    assert taught[0, 2] == pytest.approx(0, abs=1e-6)
    assert taught[0, 1] > 0.1


def test_the_background_of_blended_prototypes_is_computed_again() -> None:
    bank = np.stack([X, Y, Y])
    tagger = colour_tagger()
    calibration = Calibration(CalibrationConfig(), bank)
    tagger = type(tagger)(**{**vars(tagger), "calibration": calibration})
    words = Prototypes(("red", "crimson"), np.stack([X, X]), np.zeros((2, 2), np.float32))

    taught = tagger.teach(words, Y[np.newaxis])

    assert taught.texts == words.texts
    assert taught.vectors[0] @ Y > 0
    assert taught.background == pytest.approx(calibration.background_of(taught.vectors))
