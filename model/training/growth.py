"""How arms grow with data: the paper's Fig. 4 (samples, classes) and Fig. 7 (distance)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.training.arms import Candidate, best_of
from model.training.figures import SERVED
from model.training.manifest import Sample
from model.training.metrics import Accuracy, accuracy
from model.training.problem import Problem
from model.training.texts import embed_labels

NEAREST = 10  # training classes, as in the paper

Arm = Callable[[Problem], Iterator[Candidate]]


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """An arm after training on `samples` samples of `classes` classes.

    `grows` says which of the two was cut. Accuracies are of the test classes, as served.
    """

    arm: str
    grows: str
    samples: int
    classes: int
    top1: float
    class_top1: float


def grow(
    problem: Problem,
    arms: Mapping[str, Arm],
    *,
    sample_shares: Sequence[float] = (),
    class_counts: Sequence[int] = (),
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> list[GrowthPoint]:
    """Every arm after training on parts of the data, larger parts holding the smaller ones.

    `sample_shares` of the samples of all classes; or all samples of `class_counts` classes,
    where samples that only have captions are left out. Settings are chosen anew for each part.
    """
    points = []
    for grows, part in _parts(problem.training, sample_shares, class_counts, seed):
        cut = problem.with_training(part)
        classes = len({sample.label for sample in part if sample.label})
        for name, arm in arms.items():
            candidate, _ = best_of(cut, arm(cut))
            figures = _accuracy(cut, candidate)
            points.append(
                GrowthPoint(name, grows, len(part), classes, figures.top1, figures.class_top1)
            )
            say(f"{name} on {len(part)} samples, {classes} classes: {100 * figures.top1:.1f} %")
    return points


def distances_to_training(problem: Problem, labels: Sequence[str]) -> dict[str, float]:
    """Each label's mean cosine distance to the ten nearest training labels."""
    seen = sorted({sample.label for sample in problem.training if sample.label})
    own, theirs = (
        embed_labels(names, problem.text, problem.config.templates, problem.bank.mean)
        for names in (labels, seen)
    )
    distances = np.sort(1.0 - own @ theirs.T, axis=1)[:, :NEAREST].mean(axis=1)
    return dict(zip(labels, distances.tolist(), strict=True))


def accuracy_beyond(
    per_class: Mapping[str, float], distances: Mapping[str, float], most: int = 20
) -> tuple[list[float], list[float]]:
    """Fig. 7: thresholds, and mean accuracy of the classes at least that far from training."""
    thresholds = sorted({round(distances[label], 6) for label in per_class})[:-1] or [0.0]
    step = max(1, len(thresholds) // most)
    chosen = thresholds[::step]
    means = [
        float(np.mean([share for label, share in per_class.items() if distances[label] >= least]))
        for least in (threshold - 1e-6 for threshold in chosen)
    ]
    return chosen, means


def _parts(
    samples: Sequence[Sample], shares: Sequence[float], counts: Sequence[int], seed: int
) -> Iterator[tuple[str, list[Sample]]]:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(samples))
    for share in shares:
        kept = np.sort(order[: max(1, round(share * len(samples)))])
        yield "samples", [samples[row] for row in kept]
    names = rng.permutation(sorted({sample.label for sample in samples if sample.label})).tolist()
    for count in counts:
        chosen = set(names[:count])
        yield "classes", [sample for sample in samples if sample.label in chosen]


def _accuracy(problem: Problem, candidate: Candidate) -> Accuracy:
    labels = sorted({sample.label for sample in problem.test})
    background = candidate.embed(problem.background_samples())
    words = problem.words(labels, background, candidate.mean)
    similarities = words.similarities(candidate.embed(problem.test))[SERVED]
    return accuracy(similarities, words.targets(problem.test))
