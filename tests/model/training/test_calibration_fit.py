"""A fit of the scores finds what is known of made-up similarities, and its stated rates hold."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from model.calibration import Calibration, CalibrationConfig
from model.training.calibrate import fit
from model.training.measure.label_sets import draw_label_sets
from model.training.measure.metrics import reliability

LABELS, REFERENCES, SAMPLES = 60, 120, 400
SIGNAL = 3.0


@dataclass(frozen=True, slots=True)
class World:
    """Made-up standardised similarities of samples to labels and reference actions.

    Each sample shows one action. It is a label, and every action has two reference actions that
    mean the same; their similarities are `SIGNAL` above the others, which are standard normal. Some
    samples are more similar to everything than others are.
    """

    labels: npt.NDArray[np.float32]
    own: npt.NDArray[np.int64]
    references: npt.NDArray[np.float32]

    @classmethod
    def of(cls, seed: int, samples: int = SAMPLES) -> "World":
        rng = np.random.default_rng(seed)
        own = rng.integers(LABELS, size=samples)
        level = rng.standard_normal((samples, 1))
        labels = level + rng.standard_normal((samples, LABELS))
        labels[np.arange(samples), own] += SIGNAL
        references = level + rng.standard_normal((samples, REFERENCES))
        references += SIGNAL * (np.arange(REFERENCES) % LABELS == own[:, np.newaxis])
        return cls(labels.astype(np.float32), own, references.astype(np.float32))

    def none_weights(self, config: CalibrationConfig) -> npt.NDArray[np.float64]:
        """The weight of none of the labels for each sample, as `Calibration` computes it."""
        exponents = config.score_slope * self.references.astype(np.float64)
        weights: npt.NDArray[np.float64] = np.exp(exponents + config.reference_bias).sum(axis=1)
        return 1.0 + weights


@dataclass(frozen=True, slots=True)
class Served:
    """What a calibration says about random sets of labels, and what is true, (K,) each."""

    score: npt.NDArray[np.float64]
    is_right: npt.NDArray[np.bool_]
    unknown: npt.NDArray[np.float64]
    is_missing: npt.NDArray[np.bool_]
    sizes: npt.NDArray[np.integer]

    @classmethod
    def of(
        cls, config: CalibrationConfig, world: World, none: npt.NDArray[np.float64], seed: int
    ) -> "Served":
        sets = draw_label_sets(world.labels, world.own, 6_000, np.random.default_rng(seed))
        calibration = Calibration(config)
        score, unknown = [], []
        for row, size, best in zip(sets.rows.tolist(), sets.sizes.tolist(), sets.best, strict=True):
            scale = calibration.scale(best[np.isfinite(best)].tolist(), float(none[row]), size)
            score.append(scale.score(float(best[0])))
            unknown.append(scale.unknown)
        return cls(np.array(score), sets.correct[:, 0], np.array(unknown), ~sets.known, sets.sizes)


@pytest.fixture(scope="module", params=[True, False], ids=["references", "no references"])
def fitted(request: pytest.FixtureRequest) -> tuple[CalibrationConfig, Served]:
    """A fit, and what it says about other samples of the same world."""
    world, others = World.of(0), World.of(1, samples=1_000)
    config = fit(
        world.labels,
        world.own,
        world.references if request.param else None,
        fitted_on="made-up similarities",
        nearest_share=0.25,
    )
    none = others.none_weights(config) if request.param else np.ones(len(others.own))
    return config, Served.of(config, others, none, seed=3)


def test_scores_and_unknown_mean_what_they_say_on_other_samples(
    fitted: tuple[CalibrationConfig, Served],
) -> None:
    _, served = fitted
    # sets of one label and of all are drawn with the right label equally often, which the scores
    # cannot know: errors of 0.06 and, without references, 0.13 remain
    assert reliability(served.score, served.is_right).error < 0.08
    assert reliability(served.unknown, served.is_missing).error < 0.15
    assert served.unknown.mean() == pytest.approx(served.is_missing.mean(), abs=0.1)


def test_no_score_and_unknown_exceed_one_together(
    fitted: tuple[CalibrationConfig, Served],
) -> None:
    _, served = fitted
    assert (served.score + served.unknown).max() <= 1.0


def test_a_label_alone_is_right_as_often_as_its_score_says(
    fitted: tuple[CalibrationConfig, Served],
) -> None:
    _, served = fitted
    alone = served.sizes == 1
    assert served.score[alone] + served.unknown[alone] == pytest.approx(1.0)
    share = served.is_right[alone].mean()
    assert served.score[alone].mean() == pytest.approx(share, abs=0.15)


def test_a_fit_states_what_it_was_made_with(fitted: tuple[CalibrationConfig, Served]) -> None:
    config, _ = fitted
    assert config.fitted_on == "made-up similarities"
    assert (config.nearest_share, config.unknown_false_positive_rate) == (0.25, 0.05)
    assert config.score_slope > 0.5


def test_reference_actions_tell_sets_without_the_right_label_better_apart() -> None:
    world, others = World.of(0), World.of(1, samples=1_000)
    config = fit(world.labels, world.own, world.references)
    plain = fit(world.labels, world.own)
    with_references = Served.of(config, others, others.none_weights(config), seed=3)
    without = Served.of(plain, others, np.ones(len(others.own)), seed=3)

    def error(served: Served) -> float:
        return float(((served.unknown - served.is_missing) ** 2).mean())

    assert config.reference_bias != plain.reference_bias == 0.0
    assert error(with_references) < error(without)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_known_samples_are_rejected_at_the_stated_rate(rate: float) -> None:
    world = World.of(0)

    config = fit(world.labels, world.own, false_positive_rate=rate)

    # sets of other draws than those of the fit
    served = Served.of(config, world, np.ones(SAMPLES), seed=9)
    rejected = served.unknown[~served.is_missing] > config.unknown_limit
    assert config.unknown_false_positive_rate == rate
    assert rejected.mean() == pytest.approx(rate, abs=0.2 * rate)


def test_similarities_that_separate_everything_have_a_finite_fit() -> None:
    own = np.arange(40) % 5
    separate = np.where(np.arange(5) == own[:, np.newaxis], 9.0, -9.0).astype(np.float32)

    config = fit(separate, own)

    scale = Calibration(config).scale([9.0, -9.0], 1.0)
    assert scale.score(9.0) > 0.9
    assert Calibration(config).scale([-9.0, -9.0], 1.0).unknown > 0.9


def test_one_label_is_too_few() -> None:
    with pytest.raises(ValueError, match="at least 2 labels, not 1"):
        fit(np.zeros((3, 1), np.float32), np.zeros(3, np.int64))


def test_sets_hold_the_own_label_or_not_and_are_sorted() -> None:
    world = World.of(0)
    sets = draw_label_sets(world.labels, world.own, 3_000, np.random.default_rng(0))

    assert 0.55 < sets.known.mean() < 0.65
    assert not sets.correct[~sets.known].any()
    present = np.isfinite(sets.best)
    np.testing.assert_array_equal(present.sum(axis=1), np.minimum(sets.sizes, sets.best.shape[1]))
    for row, best, correct in zip(sets.rows, sets.best, sets.correct, strict=True):
        found = best[np.isfinite(best)]
        assert (np.diff(found) <= 0).all()
        if correct.any():
            assert best[correct] == world.labels[row, world.own[row]]
    # a set with its own label holds it among the best, unless it is large
    small = sets.known & (sets.sizes <= sets.best.shape[1])
    assert sets.correct[small].sum(axis=1).min() == 1
