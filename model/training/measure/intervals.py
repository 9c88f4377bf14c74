"""How sure a figure is: intervals and tests that draw whole classes.

Samples of one class stand and fall together, so that the share right of N samples is far less
certain than N coin tosses: what is drawn anew is the classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from model.training.measure.metrics import Bools, Floats, Ints, class_means

DRAWS = 10_000
_EXACT_CLASSES = 14  # up to here all sign flips are tried


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one arm is than another on the same samples, as a mean over classes.

    `p` is two-sided: how often the difference is at least as large when, class by class, the
    names of the arms are swapped by chance.
    """

    interval: Interval
    p: float
    classes: int


def bootstrap(
    statistic: Callable[[Floats], Floats],
    classes: int,
    *,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """BCa interval (Efron, 1987) of a statistic of weighted classes.

    `statistic` maps (B, classes) weights, how often each class was drawn, to (B,) values.
    """
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(classes, np.full(classes, 1 / classes), size=draws)
    drawn = statistic(weights.astype(np.float64))
    value = float(statistic(np.ones((1, classes)))[0])
    if np.ptp(drawn) == 0:
        return Interval(value, value, value)
    without = statistic(np.ones((classes, classes)) - np.eye(classes))
    leverage = without.mean() - without
    spread = float((leverage**2).sum() ** 1.5)
    acceleration = float((leverage**3).sum()) / (6 * spread) if spread else 0.0
    normal = NormalDist()
    below = ((drawn < value).sum() + 0.5 * (drawn == value).sum()) / draws
    bias = normal.inv_cdf(float(np.clip(below, 1 / draws, 1 - 1 / draws)))
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        moved = bias + normal.inv_cdf(tail)
        ends.append(normal.cdf(bias + moved / (1 - acceleration * moved)))
    low, high = np.quantile(drawn, ends)
    return Interval(value, float(low), float(high))


def accuracy_interval(right: Bools | Floats, targets: Ints, *, seed: int = 0) -> Interval:
    """The share of (N,) `right` samples, classes drawn anew with all their samples.

    Values may be hits, or their means over seeds.
    """
    _, rows = np.unique(targets, return_inverse=True)
    counts = np.bincount(rows).astype(np.float64)
    sums = np.bincount(rows, weights=right.astype(np.float64))

    def share(weights: Floats) -> Floats:
        quotient: Floats = (weights @ sums) / (weights @ counts)
        return quotient

    return bootstrap(share, len(counts), seed=seed)


def paired_difference(
    right: npt.NDArray[np.generic],
    other_right: npt.NDArray[np.generic],
    targets: Ints,
    *,
    seed: int = 0,
) -> Difference:
    """How much better `right` (N,) is than `other_right` (N,) on the same samples.

    Values may be hits, or their means over seeds. Every class counts alike.
    """
    _, rows = np.unique(targets, return_inverse=True)
    classes = int(rows.max()) + 1
    per_class = class_means(right, rows, classes) - class_means(other_right, rows, classes)

    def mean(weights: Floats) -> Floats:
        quotient: Floats = (weights @ per_class) / weights.sum(axis=1)
        return quotient

    return Difference(bootstrap(mean, classes, seed=seed), sign_flip_p(per_class, seed), classes)


def sign_flip_p(differences: Floats, seed: int = 0) -> float:
    """Two-sided p of (C,) paired differences under random signs; exact up to 14 of them."""
    count = len(differences)
    observed = abs(differences.sum()) * (1 - 1e-9)  # rounding must not make equal sums smaller
    if count <= _EXACT_CLASSES:
        bits = np.arange(2**count)[:, np.newaxis] >> np.arange(count) & 1
        return float((np.abs((1 - 2 * bits) @ differences) >= observed).mean())
    signs = 1 - 2 * np.random.default_rng(seed).integers(2, size=(DRAWS, count))
    return float((1 + (np.abs(signs @ differences) >= observed).sum()) / (1 + DRAWS))
