"""Accuracy by amount of data (the paper's Fig. 4) and by distance to training (Fig. 7)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.training.compare.fold import Fold, Settings
from model.training.compare.problem import Problem
from model.training.compare.standings import Answers
from model.training.data.manifest import Sample
from model.training.measure.figures import SERVED
from model.training.measure.metrics import class_means, hits_at
from model.training.words.text_bank import embed_labels

NEAREST = 10  # training classes, as in the paper


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """An arm after training on `samples` samples of `classes` classes.

    `grows` names the quantity that was reduced. Accuracies are of the test classes, as served.
    """

    arm: str
    grows: str
    samples: int
    classes: int
    top1: float
    class_top1: float


def grow(
    problem: Problem,
    arms: Sequence[str],
    settings: Settings,
    *,
    sample_shares: Sequence[float] = (),
    class_counts: Sequence[int] = (),
    seed: int = 0,
) -> list[GrowthPoint]:
    """Train every arm on parts of the data; larger parts contain the smaller ones.

    Parts are `sample_shares` of the samples of all classes, or all samples of `class_counts`
    classes, without samples that only have captions. Each part chooses its own settings. Answers
    are stored in `settings.out`; the whole data reuses the comparison's answers. Raises ValueError
    for a share or a count out of range, Stopped and VideoError.
    """
    if any(not 0 < share <= 1 for share in sample_shares) or any(n < 1 for n in class_counts):
        raise ValueError("growth needs shares above 0 and up to 1, and at least one class")
    points = []
    for grows, name, part in _parts(problem.training, sample_shares, class_counts, seed):
        is_whole = len(part) == len(problem.training)
        out = settings.out if is_whole else settings.out / "growth" / name
        own = replace(settings, out=out, trained=())
        fold = Fold(problem if is_whole else problem.with_training(part), 0, own)
        classes = len({sample.label for sample in part if sample.label})
        for arm in arms:
            answer = fold.answer(arm, seed)
            point = GrowthPoint(
                arm, grows, len(part), classes, answer.top1(SERVED), _class_top1(answer)
            )
            points.append(point)
            settings.log(
                f"{arm} on {len(part)} samples, {classes} classes: {100 * point.top1:.1f} %"
            )
    return points


def distances_to_training(problem: Problem) -> dict[str, float]:
    """Compute each test label's mean cosine distance to the ten nearest training labels."""
    labels = sorted({sample.label for sample in problem.test})
    seen = sorted({sample.label for sample in problem.training if sample.label})
    if not seen:
        return {}
    own, theirs = (
        embed_labels(names, problem.text, problem.config.templates, problem.bank.mean)
        for names in (labels, seen)
    )
    distances = np.sort(1.0 - own @ theirs.T, axis=1)[:, :NEAREST].mean(axis=1)
    return dict(zip(labels, distances.tolist(), strict=True))


def accuracy_beyond(
    per_class: Mapping[str, float], distances: Mapping[str, float], max_points: int = 20
) -> tuple[list[float], list[float]]:
    """Compute Fig. 7: thresholds, and mean accuracy of the classes at least that far away."""
    thresholds = sorted({round(distances[label], 6) for label in per_class})[:-1] or [0.0]
    step = max(1, len(thresholds) // max_points)
    chosen = thresholds[::step]
    means = [
        float(np.mean([share for label, share in per_class.items() if distances[label] >= lower]))
        for lower in (threshold - 1e-6 for threshold in chosen)
    ]
    return chosen, means


def _parts(
    samples: Sequence[Sample], shares: Sequence[float], counts: Sequence[int], seed: int
) -> Iterator[tuple[str, str, list[Sample]]]:
    """Yield the quantity that is reduced, the part's name, and its samples."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(samples))
    for share in shares:
        kept = np.sort(order[: max(1, round(share * len(samples)))])
        yield "samples", f"samples-{len(kept)}-seed{seed}", [samples[row] for row in kept]
    names = rng.permutation(sorted({sample.label for sample in samples if sample.label})).tolist()
    for count in dict.fromkeys(min(count, len(names)) for count in counts):
        chosen = set(names[:count])
        part = [sample for sample in samples if sample.label in chosen]
        yield "classes", f"classes-{len(chosen)}-seed{seed}", part


def _class_top1(answer: Answers) -> float:
    hits = hits_at(answer.similarities[SERVED], answer.targets, 1)
    return float(np.nanmean(class_means(hits, answer.targets, len(answer.labels))))
