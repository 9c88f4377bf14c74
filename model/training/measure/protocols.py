"""Evaluation protocols of zero-shot recognition, on similarities (see `metrics`)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.training.measure.metrics import Accuracy, Bools, Floats, Ints, accuracy, auroc

DRAWS = 10


def half_of_classes(classes: int, draw: int) -> Ints:
    """Draw the columns of one of the paper's half splits, as the official code does."""
    # the legacy generator, because published figures depend on its sequence
    half: Ints = np.random.RandomState(draw).permutation(classes)[: classes // 2]
    return half


@dataclass(frozen=True, slots=True)
class HalfSplits:
    """Evaluation Protocol 1: the accuracies of each draw.

    Their spread is not a confidence interval: the draws share one model and most classes.
    """

    top1: tuple[float, ...]
    top5: tuple[float, ...]


def half_splits(similarities: Floats, targets: Ints, draws: int = DRAWS) -> HalfSplits:
    """Compute EP1: accuracy within a random half of the classes, for each draw.

    Raises ValueError for fewer than two classes or a half without samples.
    """
    _check_halves(similarities)
    figures = [
        restricted_accuracy(similarities, targets, half_of_classes(similarities.shape[1], draw))
        for draw in range(draws)
    ]
    return HalfSplits(tuple(f.top1 for f in figures), tuple(f.top5 for f in figures))


def restricted_accuracy(similarities: Floats, targets: Ints, columns: Ints) -> Accuracy:
    """Compute the accuracy of the samples of some classes (`columns`) among these classes."""
    position = np.full(similarities.shape[1], -1)
    position[columns] = np.arange(len(columns))
    chosen = position[targets] >= 0
    return accuracy(similarities[chosen][:, columns], position[targets[chosen]])


def best_similarity(similarities: Floats) -> Floats:
    """Return each sample's maximum of (N, C) similarities, (N,)."""
    best: Floats = similarities.max(axis=1)
    return best


def rejection(
    similarities: Floats,
    targets: Ints,
    draws: int = DRAWS,
    *,
    knownness: Callable[[Floats], Floats] = best_similarity,
) -> tuple[float, ...]:
    """Compute the open-set AUROC of each draw: half of the classes are labels, the rest unknown.

    `knownness` maps the similarities to the labels, (N, C / 2), to the value (N,) by which samples
    are told apart; samples with a label are positives.
    """
    _check_halves(similarities)
    areas = []
    for draw in range(draws):
        half = half_of_classes(similarities.shape[1], draw)
        values = knownness(similarities[:, half])
        known = np.isin(targets, half)
        areas.append(auroc(values[known], values[~known]))
    return tuple(areas)


def _check_halves(similarities: Floats) -> None:
    if similarities.shape[1] < 2:
        raise ValueError("half of the classes needs at least two classes")


@dataclass(frozen=True, slots=True)
class Generalised:
    """Seen and unseen classes ranked together, for every handicap (Chao et al., ECCV 2016).

    A handicap is subtracted from the similarities of all seen classes. Mean class accuracies
    `seen[i]` and `unseen[i]` hold for handicaps between `breakpoints[i - 1]` and `breakpoints[i]`,
    the first from minus infinity, the last to plus infinity.
    """

    breakpoints: tuple[float, ...]
    seen: tuple[float, ...]
    unseen: tuple[float, ...]

    @property
    def area(self) -> float:
        """AUSUC: the area under seen over unseen accuracy."""
        return float(np.trapezoid(self.seen, self.unseen))

    @property
    def best_handicap(self) -> float:
        """The handicap of the maximum harmonic mean; choose it on validation classes."""
        if not self.breakpoints:
            return 0.0
        best = int(np.argmax([harmonic_mean(*pair) for pair in self._pairs()]))
        ends = (self.breakpoints[0] - 1.0, *self.breakpoints, self.breakpoints[-1] + 1.0)
        return (ends[best] + ends[best + 1]) / 2

    @property
    def best_harmonic(self) -> float:
        """The maximum harmonic mean over all handicaps."""
        return max(harmonic_mean(*pair) for pair in self._pairs())

    def at(self, handicap: float) -> tuple[float, float]:
        """Seen and unseen mean class accuracy at a handicap."""
        return self._pairs()[int(np.searchsorted(self.breakpoints, handicap))]

    def _pairs(self) -> list[tuple[float, float]]:
        return list(zip(self.seen, self.unseen, strict=True))


def generalised(similarities: Floats, targets: Ints, is_seen: Bools) -> Generalised:
    """Compute seen and unseen accuracy at every handicap; `is_seen` (C,) marks seen columns.

    Raises ValueError without samples of both kinds.
    """
    of_seen = is_seen[targets]
    if of_seen.all() or not of_seen.any():
        raise ValueError("needs samples of seen and of unseen classes")
    own = np.take_along_axis(similarities, targets[:, np.newaxis], axis=1)
    same_side = is_seen == of_seen[:, np.newaxis]
    right = ((similarities >= own) & same_side).sum(axis=1) == 1
    margin = similarities[:, is_seen].max(axis=1) - similarities[:, ~is_seen].max(axis=1)
    # every class has the same weight among the seen, or among the unseen classes
    counts = np.bincount(targets, minlength=len(is_seen))
    classes_of = {side: int((counts[is_seen == side] > 0).sum()) for side in (True, False)}
    weights = right / counts[targets] / np.where(of_seen, classes_of[True], classes_of[False])
    order = np.argsort(margin[right], kind="stable")
    at = margin[right][order]
    falls = np.cumsum(np.where(of_seen, weights, 0.0)[right][order])
    rises = np.cumsum(np.where(of_seen, 0.0, weights)[right][order])
    last = np.flatnonzero(np.diff(at, append=np.inf))  # of each group of equal margins
    seen_alone = falls[-1] if len(falls) else 0.0
    return Generalised(
        tuple(at[last].tolist()),
        (float(seen_alone), *(seen_alone - falls[last]).tolist()),
        (0.0, *rises[last].tolist()),
    )


def harmonic_mean(first: float, second: float) -> float:
    """Compute 2ab / (a + b); 0 when both are 0."""
    return 2 * first * second / (first + second) if first + second else 0.0
