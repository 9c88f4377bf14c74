"""Uncertainty of a figure: bootstrap intervals and permutation tests over whole classes.

Samples of one class are correlated, so that the accuracy over N samples is far less certain than
that of N independent trials. Classes, not samples, are resampled.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from model.training.measure.metrics import Bools, Floats, Ints, class_means

RESAMPLES = 10_000
# permutation tests are exact where there are not more sign flips than this: up to 14 classes
_SIGN_FLIPS = 2**14
_RESAMPLES_PER_BATCH = 1000  # limits memory


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean over classes of the difference between two arms on the same samples.

    `p` is two-sided: the probability of a difference at least as large when the two arms are
    exchanged at random in each class.
    """

    interval: Interval
    p: float
    classes: int


def ratio_interval(
    sums: Floats, counts: Floats, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Estimate sum(sums) / sum(counts) of (C,) classes with a 95 % BCa interval (Efron, 1987).

    Each resample draws C classes with replacement, a class's sum together with its count. The
    interval is a single point where all classes have the same ratio.
    """
    value = float(sums.sum() / counts.sum())
    if np.ptp(sums / counts) == 0:
        return Interval(value, value, value)
    interval = stats.bootstrap(
        (sums, counts),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=_RESAMPLES_PER_BATCH,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(value, float(interval.low), float(interval.high))


def accuracy_interval(right: Bools | Floats, targets: Ints, *, seed: int = 0) -> Interval:
    """Estimate the mean of (N,) `right` over samples, resampling classes.

    Values may be hits, or their means over seeds.
    """
    _, rows = np.unique(targets, return_inverse=True)
    counts = np.bincount(rows).astype(np.float64)
    sums = np.bincount(rows, weights=right.astype(np.float64)).astype(np.float64)
    return ratio_interval(sums, counts, seed=seed)


def paired_difference(
    right: npt.NDArray[np.generic],
    other_right: npt.NDArray[np.generic],
    targets: Ints,
    *,
    seed: int = 0,
) -> Difference:
    """Estimate how much better `right` (N,) is than `other_right` (N,) on the same samples.

    Values may be hits, or their means over seeds. Every class has the same weight.
    """
    _, rows = np.unique(targets, return_inverse=True)
    classes = int(rows.max()) + 1
    per_class = class_means(right, rows, classes) - class_means(other_right, rows, classes)
    interval = ratio_interval(per_class, np.ones(classes), seed=seed)
    return Difference(interval, sign_flip_p(per_class, seed), classes)


def sign_flip_p(differences: Floats, seed: int = 0) -> float:
    """Two-sided p of the sum of (C,) paired differences under random signs; exact up to C = 14."""
    return float(
        stats.permutation_test(
            (differences,),
            _sum,
            permutation_type="samples",
            vectorized=True,
            n_resamples=_SIGN_FLIPS,
            batch=_RESAMPLES_PER_BATCH,
            rng=np.random.default_rng(seed),
        ).pvalue
    )


def _ratio(sums: Floats, counts: Floats, axis: int) -> Any:
    return sums.sum(axis=axis) / counts.sum(axis=axis)


def _sum(differences: Floats, axis: int) -> Any:
    return differences.sum(axis=axis)
