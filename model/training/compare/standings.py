"""The arms' answers and their standings: accuracy, and difference to the best frozen arm."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.training.measure.figures import RAW, SERVED
from model.training.measure.intervals import (
    Difference,
    Interval,
    accuracy_interval,
    paired_difference,
)
from model.training.measure.metrics import Floats, Ints, class_means, hits_at

KINDS = (RAW, SERVED)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Answers:
    """An arm's similarities of the test samples of one fold with one seed.

    `similarities` (N, C) are to the fold's test classes `labels`, raw and as served, `targets` (N,)
    the correct columns; `validation` is the accuracy that `settings` were chosen by.
    """

    arm: str
    fold: int
    seed: int
    settings: str
    validation: float
    labels: tuple[str, ...]
    targets: Ints
    similarities: Mapping[str, Floats]

    def top1(self, kind: str) -> float:
        """Top-1 accuracy over samples."""
        return float(hits_at(self.similarities[kind], self.targets, 1).mean())

    def write(self, path: Path) -> None:
        """Write a .npz file; it is replaced atomically."""
        facts = {
            name: getattr(self, name)
            for name in ("arm", "fold", "seed", "settings", "validation", "labels")
        }
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            arrays: dict[str, Any] = {"targets": self.targets, **self.similarities}
            np.savez_compressed(file, facts=np.array(json.dumps(facts)), **arrays)
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Answers":
        """Read a file that `write` wrote."""
        with np.load(path) as kept:
            facts = json.loads(str(kept["facts"]))
            return cls(
                **{**facts, "labels": tuple(facts["labels"])},
                targets=kept["targets"],
                similarities={kind: kept[kind] for kind in KINDS},
            )


@dataclass(frozen=True, slots=True)
class Standing:
    """One arm over all folds and seeds, with one kind of similarity.

    `top1` and `top5` are over samples, with intervals over classes; `class_top1` is the mean over
    classes. `by_fold_and_seed` has a row for each fold. `minus_frozen` is the paired difference of
    mean class accuracy to the best frozen arm by validation, None for that arm itself.
    """

    arm: str
    kind: str
    validation: float
    top1: Interval
    top5: Interval
    class_top1: float
    by_fold_and_seed: tuple[tuple[float, ...], ...]
    minus_frozen: Difference | None
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The standings of all arms, and the best frozen arm, chosen on the validation classes.

    `per_class` is each arm's mean accuracy as served for each test class.
    """

    best_frozen: str
    standings: tuple[Standing, ...]
    per_class: Mapping[str, Mapping[str, float]]

    def standing(self, arm: str, kind: str) -> Standing:
        """Return the standing of one arm with one kind of similarity."""
        return next(s for s in self.standings if (s.arm, s.kind) == (arm, kind))


def compare_answers(answers: Sequence[Answers], frozen: Sequence[str]) -> Comparison:
    """Compare arms that answered the same folds; raises ValueError without answers."""
    if not answers:
        raise ValueError("no arm has answered")
    arms = list(dict.fromkeys(answer.arm for answer in answers))
    validation = {
        arm: float(np.mean([answer.validation for answer in answers if answer.arm == arm]))
        for arm in arms
    }
    best = max((arm for arm in arms if arm in frozen), key=validation.__getitem__, default="")
    standings = []
    for kind in KINDS:
        pooled = {arm: _pooled([a for a in answers if a.arm == arm], kind) for arm in arms}
        standings += [_standing(arm, kind, validation[arm], answers, pooled, best) for arm in arms]
    return Comparison(best, tuple(standings), {arm: _per_class(answers, arm) for arm in arms})


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Pooled:
    """An arm's hits (N,) over all folds, averaged over seeds; targets differ between folds."""

    first: Floats
    five: Floats
    targets: Ints


def _pooled(answers: Sequence[Answers], kind: str) -> _Pooled:
    first: list[Floats] = []
    five: list[Floats] = []
    targets: list[Ints] = []
    offset = 0
    for fold in sorted({answer.fold for answer in answers}):
        of_fold = [answer for answer in answers if answer.fold == fold]
        for k, parts in ((1, first), (5, five)):
            hits = [hits_at(a.similarities[kind], a.targets, k) for a in of_fold]
            parts.append(np.mean(hits, axis=0))
        targets.append(of_fold[0].targets + offset)
        offset += len(of_fold[0].labels)
    return _Pooled(np.concatenate(first), np.concatenate(five), np.concatenate(targets))


def _standing(
    arm: str,
    kind: str,
    validation: float,
    answers: Sequence[Answers],
    pooled: Mapping[str, _Pooled],
    best: str,
) -> Standing:
    own = pooled[arm]
    mine = [answer for answer in answers if answer.arm == arm]
    difference = None
    if best and arm != best:
        difference = paired_difference(own.first, pooled[best].first, own.targets)
    folds = sorted({answer.fold for answer in mine})
    classes = int(own.targets.max()) + 1
    return Standing(
        arm=arm,
        kind=kind,
        validation=validation,
        top1=accuracy_interval(own.first, own.targets),
        top5=accuracy_interval(own.five, own.targets),
        class_top1=float(np.nanmean(class_means(own.first, own.targets, classes))),
        by_fold_and_seed=tuple(
            tuple(answer.top1(kind) for answer in mine if answer.fold == fold) for fold in folds
        ),
        minus_frozen=difference,
        settings=tuple(answer.settings for answer in mine),
    )


def _per_class(answers: Sequence[Answers], arm: str) -> dict[str, float]:
    shares: dict[str, list[float]] = {}
    for answer in answers:
        if answer.arm == arm:
            hits = hits_at(answer.similarities[SERVED], answer.targets, 1)
            means = class_means(hits, answer.targets, len(answer.labels))
            for label, share in zip(answer.labels, means.tolist(), strict=True):
                shares.setdefault(label, []).append(share)
    return {label: float(np.mean(values)) for label, values in shares.items()}
