"""Random label sets of many sizes, with and without the label that applies.

Scores must mean the same for a set of two labels and for one of a thousand, and `unknown` must
recognise sets without the right label. Both are fitted and measured over such sets.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.calibration import RIVALS
from model.training.measure.metrics import Bools, Floats, Ints

SIZES = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
# A set of n labels contains the sample's own with a chance of n / (n + 8), at least a half: two
# labels ask whether one of them applies, and a list of hundreds mostly has one that does. What a
# score means, and the limit of `unknown`, depend on this.
_MISSING_LABELS = 8
_MIN_KNOWN_SHARE = 0.5
# Sets at a time: with a thousand labels, half a million numbers.
_BATCH = 500


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LabelSets:
    """K random sets of labels, each with one sample.

    `rows` (K,) are the samples, `sizes` (K,) the numbers of labels. `best` (K, R) float64 holds the
    similarities of the best R labels of each set, best first, R = min(C, `RIVALS`); missing ones
    are -inf. `correct` (K, R) marks the sample's own label, `known` (K,) the sets that contain it.
    """

    rows: Ints
    sizes: Ints
    best: npt.NDArray[np.float64]
    correct: Bools
    known: Bools


def draw_label_sets(
    standardised: Floats, targets: Ints, count: int, rng: np.random.Generator
) -> LabelSets:
    """Draw `count` sets from (N, C) similarities of samples to labels, C at least 2.

    `targets` (N,) is each sample's own label. Every sample is drawn equally often. A set's size is
    one of `SIZES` below C, or C; all are equally likely.
    """
    classes = standardised.shape[1]
    if classes < 2:
        raise ValueError(f"sets without the right label need at least 2 labels, not {classes}")
    rows = np.resize(rng.permutation(len(targets)), count)
    sizes = rng.choice([*(size for size in SIZES if size < classes), classes], count)
    known_share = np.maximum(sizes / (sizes + _MISSING_LABELS), _MIN_KNOWN_SHARE)
    known = rng.random(count) < known_share
    sizes = np.where(known, sizes, np.minimum(sizes, classes - 1))
    parts = [
        _best_of_sets(standardised[rows[part]], targets[rows[part]], sizes[part], known[part], rng)
        for part in (slice(start, start + _BATCH) for start in range(0, count, _BATCH))
    ]
    best, correct = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return LabelSets(rows, sizes, best, correct, known)


def _best_of_sets(
    similarities: Floats, own: Ints, sizes: Ints, known: Bools, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float64], Bools]:
    """Draw a set for each row of (K, C) similarities; return `best` and `correct` of its labels."""
    count, classes = similarities.shape
    every = np.arange(count)
    # a set is the labels with the lowest random keys: its own label always or never
    keys = rng.random((count, classes))
    keys[every, own] = np.where(known, -1.0, 2.0)
    limits = np.sort(keys, axis=1)[every, sizes - 1]
    inside = np.where(keys <= limits[:, np.newaxis], similarities, -np.inf)
    order = np.argsort(-inside, axis=1, kind="stable")[:, :RIVALS]
    best = np.take_along_axis(inside, order, axis=1).astype(np.float64)
    return best, (order == own[:, np.newaxis]) & known[:, np.newaxis]
