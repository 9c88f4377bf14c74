"""Metrics of similarities, from arrays to numbers.

`similarities` is (N, C) float, a row for each sample and a column for each class; `targets` is (N,)
int, the correct column. A tie with the correct class counts as a miss, so that a constant answer
is never a hit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, roc_auc_score

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]
Bools = npt.NDArray[np.bool_]


def hits_at(similarities: Floats, targets: Ints, k: int) -> Bools:
    """Compute whether the correct class is among the `k` most similar, (N,) bool."""
    own = np.take_along_axis(similarities, targets[:, np.newaxis], axis=1)
    ranks: Ints = (similarities >= own).sum(axis=1)
    inside: Bools = ranks <= k
    return inside


def class_means(values: npt.NDArray[np.generic], targets: Ints, classes: int) -> Floats:
    """Average (N,) `values` over each class's samples: (classes,), NaN for an empty class."""
    counts = np.bincount(targets, minlength=classes)
    sums = np.bincount(targets, weights=values.astype(np.float64), minlength=classes)
    means: Floats = np.divide(sums, counts, out=np.full(classes, np.nan), where=counts > 0)
    return means


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracies 0..1: over all samples, and the mean of the accuracies of all classes."""

    top1: float
    top5: float
    class_top1: float
    class_top5: float
    samples: int
    classes: int


def accuracy(similarities: Floats, targets: Ints) -> Accuracy:
    """Compute top-1 and top-5 accuracy; classes without samples are only wrong answers.

    Raises ValueError without samples.
    """
    if not len(targets):
        raise ValueError("accuracy needs at least one sample")
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
    """Compute the area under the ROC curve: P(a positive scores above a negative).

    Ties count one half. Raises ValueError without positives or without negatives.
    """
    if not len(positives) or not len(negatives):
        raise ValueError("AUROC needs positives and negatives")
    is_positive = np.repeat([True, False], [len(positives), len(negatives)])
    return float(roc_auc_score(is_positive, np.concatenate([positives, negatives])))


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram: mean confidence, share of hits and number of samples of each bin.

    Empty bins hold NaN. `error` is the expected calibration error, the mean over samples of
    |confidence - share of hits| of their bins (Guo et al., ICML 2017).
    """

    confidence: tuple[float, ...]
    share_right: tuple[float, ...]
    counts: tuple[int, ...]
    error: float


def reliability(confidences: Floats, right: Bools, bins: int = 10) -> Reliability:
    """Compute the reliability diagram of (N,) confidences 0..1 with `bins` equal bins.

    Raises ValueError without samples.
    """
    if not len(right):
        raise ValueError("reliability needs at least one sample")
    rows = np.minimum((confidences * bins).astype(np.int64), bins - 1)
    counts = np.bincount(rows, minlength=bins)
    confidence = class_means(confidences, rows, bins)
    share = class_means(right, rows, bins)
    gaps = np.where(counts > 0, np.abs(confidence - share), 0.0)
    return Reliability(
        tuple(confidence.tolist()),
        tuple(share.tolist()),
        tuple(counts.tolist()),
        float((gaps * counts).sum() / counts.sum()),
    )


def prediction_counts(similarities: Floats, targets: Ints) -> Ints:
    """Count predictions, (C, C) int: rows are correct classes, columns the most similar ones."""
    labels = np.arange(similarities.shape[1])
    counts: Ints = confusion_matrix(targets, similarities.argmax(axis=1), labels=labels)
    return counts


@dataclass(frozen=True, slots=True)
class Confusion:
    """`count` samples of class `true` were predicted as `predicted`, a `share` of its samples."""

    true: str
    predicted: str
    count: int
    share: float


def confusions(
    similarities: Floats, targets: Ints, names: Sequence[str], max_pairs: int
) -> list[Confusion]:
    """List the most frequent pairs of a class and a wrong prediction, most frequent first."""
    matrix = prediction_counts(similarities, targets)
    totals = matrix.sum(axis=1)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:max_pairs]
    pairs = [divmod(int(position), len(names)) for position in order]
    return [
        Confusion(
            names[row], names[column], int(matrix[row, column]), matrix[row, column] / totals[row]
        )
        for row, column in pairs
        if matrix[row, column]
    ]
