"""Figures from similarities: every function takes arrays and gives numbers.

`similarities` is (N, C) float, a row for each sample and a column for each class; `targets` is (N,)
int, the column that is right. Ties count against: a constant answer is never a hit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]
Bools = npt.NDArray[np.bool_]


def hits_at(similarities: Floats, targets: Ints, k: int) -> Bools:
    """Whether the right class is among the `k` most similar, (N,)."""
    own = np.take_along_axis(similarities, targets[:, np.newaxis], axis=1)
    ranks: Ints = (similarities >= own).sum(axis=1)
    inside: Bools = ranks <= k
    return inside


def class_means(values: npt.NDArray[np.generic], targets: Ints, classes: int) -> Floats:
    """Mean of (N,) `values` over each class's samples, (classes,); NaN for a class without any."""
    counts = np.bincount(targets, minlength=classes)
    sums = np.bincount(targets, weights=values.astype(np.float64), minlength=classes)
    means: Floats = np.divide(sums, counts, out=np.full(classes, np.nan), where=counts > 0)
    return means


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares 0..1: over all samples, and the mean over classes of each class's share."""

    top1: float
    top5: float
    class_top1: float
    class_top5: float
    samples: int
    classes: int


def accuracy(similarities: Floats, targets: Ints) -> Accuracy:
    """Top-1 and top-5 accuracy; classes without samples only add wrong answers."""
    if not len(targets):
        raise ValueError("accuracy of no samples")
    classes = similarities.shape[1]
    first, five = (hits_at(similarities, targets, k) for k in (1, 5))
    return Accuracy(
        top1=float(first.mean()),
        top5=float(five.mean()),
        class_top1=float(np.nanmean(class_means(first, targets, classes))),
        class_top5=float(np.nanmean(class_means(five, targets, classes))),
        samples=len(targets),
        classes=classes,
    )


def auroc(positives: Floats, negatives: Floats) -> float:
    """Chance that a positive scores above a negative, ties counting half (Mann-Whitney)."""
    if not len(positives) or not len(negatives):
        raise ValueError("AUROC needs positives and negatives")
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, side="left")
    up_to = np.searchsorted(ordered, positives, side="right")
    return float((below + up_to).mean() / 2 / len(ordered))


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram: of each bin of confidence its mean, the share right, how many.

    Empty bins hold NaN. `error` is the expected calibration error, the mean over samples of
    |confidence - share right| of their bins (Guo et al., ICML 2017).
    """

    confidence: tuple[float, ...]
    share_right: tuple[float, ...]
    counts: tuple[int, ...]
    error: float


def reliability(confidences: Floats, right: Bools, bins: int = 10) -> Reliability:
    """The reliability of (N,) confidences 0..1 in `bins` equal steps."""
    if not len(right):
        raise ValueError("reliability of no samples")
    places = np.minimum((confidences * bins).astype(np.int64), bins - 1)
    counts = np.bincount(places, minlength=bins)
    confidence = class_means(confidences, places, bins)
    share = class_means(right, places, bins)
    gaps = np.where(counts > 0, np.abs(confidence - share), 0.0)
    return Reliability(
        tuple(confidence.tolist()),
        tuple(share.tolist()),
        tuple(counts.tolist()),
        float((gaps * counts).sum() / counts.sum()),
    )


@dataclass(frozen=True, slots=True)
class Confusion:
    """`count` samples of `true` were called `predicted`: `share` of all of its samples."""

    true: str
    predicted: str
    count: int
    share: float


def confusions(
    similarities: Floats, targets: Ints, names: Sequence[str], most: int
) -> list[Confusion]:
    """The `most` frequent pairs of a right and a wrongly predicted class, most frequent first."""
    classes = len(names)
    predicted = similarities.argmax(axis=1)
    matrix = np.bincount(targets * classes + predicted, minlength=classes**2)
    matrix = matrix.reshape(classes, classes)
    totals = matrix.sum(axis=1)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), classes) for place in order]
    return [
        Confusion(
            names[row], names[column], int(matrix[row, column]), matrix[row, column] / totals[row]
        )
        for row, column in pairs
        if matrix[row, column]
    ]
