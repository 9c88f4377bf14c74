"""Fit a checkpoint's scores: the background bank and the two logistics of `model.calibration`.

The logistics are fitted on validation classes, which training never saw. Test classes are used
neither by training nor here.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from model.calibration import CalibrationConfig, expected_best
from model.training.data.manifest import Sample
from model.training.measure.metrics import Floats, Ints

BANK_SIZE = 1024
_RANDOM_SETS = 200


def draw_bank(
    samples: Sequence[Sample], temper: float, seed: int, size: int = BANK_SIZE
) -> list[int]:
    """Draw the rows of at most `size` training samples, sources weighted by size ** `temper`."""
    sources = np.array([sample.source for sample in samples])
    _, inverse, counts = np.unique(sources, return_inverse=True, return_counts=True)
    weights = counts[inverse] ** (temper - 1.0)
    rng = np.random.default_rng([seed, 1])
    size = min(size, len(samples))
    return sorted(rng.choice(len(samples), size, replace=False, p=weights / weights.sum()).tolist())


def fit(
    standardised: Floats,
    targets: Ints,
    *,
    nearest_share: float = 0.0,
    false_positive_rate: float = 0.05,
    seed: int = 0,
) -> CalibrationConfig:
    """Fit parameters to (N, C) standardised similarities of validation samples to their classes.

    `targets` (N,) is each sample's class. The score estimates whether a label applies, over all
    N * C pairs, so that its base rate is one label in C. `unknown` estimates whether any label of a
    set applies, over random sets of classes; the limit rejects `false_positive_rate` of the samples
    whose class is in the set. `nearest_share` is the value that the similarities were standardised
    with.
    """
    matches = np.arange(standardised.shape[1]) == targets[:, np.newaxis]
    score = _logistic(standardised.ravel(), matches.ravel())
    margins, known = _set_margins(standardised, targets, np.random.default_rng([seed, 2]))
    unknown = _logistic(margins, known)
    scores = 1.0 / (1.0 + np.exp(unknown[0] * margins[known] + unknown[1]))
    return CalibrationConfig(
        score_slope=score[0],
        score_bias=score[1],
        unknown_slope=unknown[0],
        unknown_bias=unknown[1],
        unknown_limit=float(np.quantile(scores, 1.0 - false_positive_rate)),
        unknown_false_positive_rate=false_positive_rate,
        nearest_share=nearest_share,
    )


def _set_margins(
    standardised: Floats,
    targets: Ints,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Compute maxima over random sets of classes minus their expectation, and which are known."""
    classes = standardised.shape[1]
    margins, known = [], []
    for _ in range(_RANDOM_SETS):
        size = int(rng.integers(2, max(3, classes // 2 + 1)))
        chosen = rng.choice(classes, size, replace=False)
        rows = rng.choice(len(targets), min(len(targets), 64), replace=False)
        margins.append(standardised[np.ix_(rows, chosen)].max(axis=1) - expected_best(size))
        known.append(np.isin(targets[rows], chosen))
    return np.concatenate(margins).astype(np.float64), np.concatenate(known)


def _logistic(
    values: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """Fit slope and bias of a logistic regression without a penalty."""
    fitted = LogisticRegression(C=np.inf).fit(values.reshape(-1, 1), positive)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
