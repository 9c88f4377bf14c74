"""Fit a checkpoint's scores: the background bank and the two logistics of `model.calibration`.

Everything is fitted on validation classes, which training never saw; what is measured on the test
classes is measured on data that neither training nor this file has used.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from model.calibration import CalibrationConfig, expected_best
from model.training.data.manifest import Sample
from model.training.measure.metrics import Floats, Ints

BANK_SIZE = 1024
_SET_DRAWS = 200


def draw_bank(
    samples: Sequence[Sample], temper: float, seed: int, size: int = BANK_SIZE
) -> list[int]:
    """Rows of `size` training samples (fewer if there are fewer), sources tempered."""
    sources = np.array([sample.source for sample in samples])
    _, inverse, counts = np.unique(sources, return_inverse=True, return_counts=True)
    weights = counts[inverse] ** (temper - 1.0)
    rng = np.random.default_rng([seed, 1])
    size = min(size, len(samples))
    return sorted(rng.choice(len(samples), size, replace=False, p=weights / weights.sum()).tolist())


def fit(
    standardised: Floats,
    own: Ints,
    *,
    nearest_share: float = 0.0,
    false_positive_rate: float = 0.05,
    seed: int = 0,
) -> CalibrationConfig:
    """Parameters from (N, C) standardised similarities of validation samples to their classes.

    `own` (N,) is each sample's class. The score answers "does this label apply?" over all N * C
    pairs, so that its base rate is one label in C. `unknown` answers "does any label of a set
    apply?" over random sets of classes, half of them without the sample's own; the limit rejects
    `false_positive_rate` of the samples whose class was in the set. `nearest_share` is what the
    similarities were standardised with.
    """
    matches = np.arange(standardised.shape[1]) == own[:, np.newaxis]
    score = _logistic(standardised.ravel(), matches.ravel())
    margins, known = _set_margins(standardised, own, np.random.default_rng([seed, 2]))
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
    own: Ints,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Best similarity over random sets of classes less what chance gives, and whether known."""
    classes = standardised.shape[1]
    margins, known = [], []
    for _ in range(_SET_DRAWS):
        size = int(rng.integers(2, max(3, classes // 2 + 1)))
        chosen = rng.choice(classes, size, replace=False)
        rows = rng.choice(len(own), min(len(own), 64), replace=False)
        margins.append(standardised[np.ix_(rows, chosen)].max(axis=1) - expected_best(size))
        known.append(np.isin(own[rows], chosen))
    return np.concatenate(margins).astype(np.float64), np.concatenate(known)


def _logistic(
    values: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """Slope and bias of a logistic regression without a penalty."""
    fitted = LogisticRegression(C=np.inf).fit(values.reshape(-1, 1), positive)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
