"""The figures of one data set's unseen classes, from embeddings and prototypes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.tagger import Tagger
from model.text.labels import Label
from model.text.text_encoder import TextEncoder
from model.training.data.manifest import Sample
from model.training.measure.intervals import Interval, accuracy_interval
from model.training.measure.metrics import (
    Accuracy,
    Floats,
    Ints,
    accuracy,
    class_means,
    hits_at,
)
from model.training.measure.protocols import (
    Generalised,
    HalfSplits,
    generalised,
    half_splits,
    harmonic_mean,
    rejection,
    restricted_accuracy,
)
from model.training.measure.sample_embeddings import Embedded
from model.training.words.overlap import label_overlaps

RAW, SERVED = "raw", "served"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Words:
    """Labels with their prototypes: vectors (C, D) unit, background (C, 2) level and spread."""

    labels: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    background: npt.NDArray[np.float32]

    def similarities(self, embeddings: npt.NDArray[np.float32]) -> dict[str, Floats]:
        """(N, C) of (N, D) embeddings: raw cosines, and as served, standardised."""
        raw = embeddings @ self.vectors.T
        return {RAW: raw, SERVED: (raw - self.background[:, 0]) / self.background[:, 1]}

    def targets(self, samples: Sequence[Sample]) -> Ints:
        """The (N,) places of the samples' own labels."""
        place = {label: row for row, label in enumerate(self.labels)}
        return np.array([place[sample.label] for sample in samples], np.int64)

    def only(self, labels: Sequence[str]) -> "Words":
        """Some of the labels, in the order given."""
        rows = [self.labels.index(label) for label in labels]
        return Words(tuple(labels), self.vectors[rows], self.background[rows])


@dataclass(frozen=True, slots=True)
class Together:
    """Seen and unseen labels asked together; triples are seen, unseen and their harmonic mean.

    `before` holds as it stands. `handicap` is what is taken off seen labels: the best for the
    validation classes, None without any, and then `after` is None too. `best_harmonic` is the
    most that any handicap could give, `area` lies under the `curve` (AUSUC). `unseen` is the
    plain accuracy of the unseen samples among all labels.
    """

    labels: int
    seen_labels: int
    known_were_trained: bool
    unseen: Accuracy
    before: tuple[float, float, float]
    handicap: float | None
    after: tuple[float, float, float] | None
    best_harmonic: float
    area: float
    curve: Generalised


@dataclass(frozen=True, slots=True)
class Figures:
    """What one way of ranking reaches on the unseen classes.

    `unfamiliar` is the accuracy among the classes that do not overlap with what the backbone was
    pretrained on (the paper's Eq. 3 counts that as seen), None where fewer than two are left.
    """

    accuracy: Accuracy
    top1: Interval
    top5: Interval
    half_splits: HalfSplits
    rejection: tuple[float, ...]
    unfamiliar: Accuracy | None


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One unseen class: shares of its samples found, what the others were most often called."""

    label: str
    samples: int
    top1: float
    top5: float
    mistaken_for: str
    is_familiar: bool


def words_of(tagger: Tagger, labels: Sequence[str]) -> Words:
    """The prototypes of plain label names, as served."""
    prototypes = tagger.prototypes([Label(name) for name in labels])
    return Words(
        tuple(labels),
        np.concatenate([p.vectors for p in prototypes]),
        np.concatenate([p.background for p in prototypes]),
    )


def familiar_labels(
    labels: Sequence[str], pretraining: Sequence[str], text: TextEncoder
) -> frozenset[str]:
    """Those of the labels that overlap with a name of the pretraining."""
    if not pretraining:
        return frozenset()
    distances = 1.0 - text.encode(pretraining) @ text.encode(labels).T
    return frozenset(found.held_out for found in label_overlaps(pretraining, labels, distances))


def figures_of(
    similarities: Floats, targets: Ints, labels: Sequence[str], familiar: frozenset[str]
) -> Figures:
    """Figures of (N, C) similarities to the unseen classes alone."""
    unfamiliar = np.array([row for row, label in enumerate(labels) if label not in familiar])
    return Figures(
        accuracy=accuracy(similarities, targets),
        top1=accuracy_interval(hits_at(similarities, targets, 1), targets),
        top5=accuracy_interval(hits_at(similarities, targets, 5), targets),
        half_splits=half_splits(similarities, targets),
        rejection=rejection(similarities, targets),
        unfamiliar=restricted_accuracy(similarities, targets, unfamiliar)
        if familiar and len(unfamiliar) > 1
        else None,
    )


def together(
    kind: str,
    words: Words,
    seen: frozenset[str],
    test: Embedded,
    known: Embedded,
    validation: Embedded,
    *,
    known_were_trained: bool,
) -> Together:
    """Samples of unseen (`test`) and seen classes (`known`) among all labels of `words`."""
    is_seen = np.array([label in seen for label in words.labels])

    def curve_of(unseen: Embedded) -> Generalised:
        vectors = np.concatenate([unseen.vectors, known.vectors])
        targets = words.targets([*unseen.samples, *known.samples])
        return generalised(words.similarities(vectors)[kind], targets, is_seen)

    curve = curve_of(test)
    handicap = curve_of(validation).best_handicap if validation.samples else None
    return Together(
        labels=len(words.labels),
        seen_labels=int(is_seen.sum()),
        known_were_trained=known_were_trained,
        unseen=accuracy(words.similarities(test.vectors)[kind], words.targets(test.samples)),
        before=_triple(curve, 0.0),
        handicap=handicap,
        after=None if handicap is None else _triple(curve, handicap),
        best_harmonic=curve.best_harmonic,
        area=curve.area,
        curve=curve,
    )


def class_rows(
    similarities: Floats, targets: Ints, labels: Sequence[str], familiar: frozenset[str]
) -> tuple[ClassRow, ...]:
    """One row for each class, best first."""
    classes = len(labels)
    top1, top5 = (class_means(hits_at(similarities, targets, k), targets, classes) for k in (1, 5))
    counts = np.bincount(targets, minlength=classes)
    called = np.zeros((classes, classes), np.int64)
    np.add.at(called, (targets, similarities.argmax(axis=1)), 1)
    np.fill_diagonal(called, 0)
    rows = [
        ClassRow(
            label,
            int(counts[row]),
            float(top1[row]),
            float(top5[row]),
            labels[int(called[row].argmax())] if called[row].any() else "",
            label in familiar,
        )
        for row, label in enumerate(labels)
    ]
    return tuple(sorted(rows, key=lambda row: -row.top1))


def _triple(curve: Generalised, handicap: float) -> tuple[float, float, float]:
    seen, unseen = curve.at(handicap)
    return seen, unseen, harmonic_mean(seen, unseen)
