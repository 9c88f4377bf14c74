"""The figures of one data set's unseen classes, from embeddings and prototypes."""

from collections.abc import Callable, Sequence
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
    prediction_counts,
)
from model.training.measure.protocols import (
    Generalised,
    HalfSplits,
    best_similarity,
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
    """Labels with prototypes: `vectors` (C, D) float32 unit, `background` (C, 2) level, spread."""

    labels: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    background: npt.NDArray[np.float32]

    def similarities(self, embeddings: npt.NDArray[np.float32]) -> dict[str, Floats]:
        """Compare (N, D) unit embeddings: (N, C) raw cosines, and as served, standardised."""
        raw = embeddings @ self.vectors.T
        return {RAW: raw, SERVED: (raw - self.background[:, 0]) / self.background[:, 1]}

    def targets(self, samples: Sequence[Sample]) -> Ints:
        """Return the positions of the samples' labels, (N,) int64."""
        position = {label: row for row, label in enumerate(self.labels)}
        return np.array([position[sample.label] for sample in samples], np.int64)

    def only(self, labels: Sequence[str]) -> "Words":
        """Select labels, in the order given."""
        rows = [self.labels.index(label) for label in labels]
        return Words(tuple(labels), self.vectors[rows], self.background[rows])


@dataclass(frozen=True, slots=True)
class Together:
    """Seen and unseen labels ranked together; triples are seen, unseen and their harmonic mean.

    `before` is without a handicap, `after` with `handicap` subtracted from the similarities of seen
    labels: the best one for the validation classes, both None without these. `best_harmonic` is
    the maximum over all handicaps, `area` the area under the `curve` (AUSUC). `unseen` is the
    accuracy of the unseen samples among all labels.
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
    """Figures of one kind of similarity on the unseen classes.

    `unfamiliar` is the accuracy among the classes that do not overlap with those of the backbone's
    pretraining (the paper's Eq. 3 counts these as seen), None with fewer than two such classes.
    """

    accuracy: Accuracy
    top1: Interval
    top5: Interval
    half_splits: HalfSplits
    rejection: tuple[float, ...]
    unfamiliar: Accuracy | None


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One unseen class: its accuracy, and its most frequent wrong prediction."""

    label: str
    samples: int
    top1: float
    top5: float
    mistaken_for: str
    is_familiar: bool


def words_of(tagger: Tagger, labels: Sequence[str]) -> Words:
    """Embed plain label names as the service does."""
    prototypes = tagger.prototypes([Label(name) for name in labels])
    return Words(
        tuple(labels),
        np.concatenate([p.vectors for p in prototypes]),
        np.concatenate([p.background for p in prototypes]),
    )


def familiar_labels(
    labels: Sequence[str], pretraining: Sequence[str], text: TextEncoder
) -> frozenset[str]:
    """Select the labels that overlap with a class name of the pretraining."""
    if not pretraining:
        return frozenset()
    distances = 1.0 - text.encode(pretraining) @ text.encode(labels).T
    return frozenset(found.held_out for found in label_overlaps(pretraining, labels, distances))


def figures_of(
    similarities: Floats,
    targets: Ints,
    labels: Sequence[str],
    familiar: frozenset[str],
    *,
    knownness: Callable[[Floats], Floats] = best_similarity,
) -> Figures:
    """Compute figures of (N, C) similarities to the unseen classes alone.

    `knownness` is that of `rejection`.
    """
    unfamiliar = np.array([row for row, label in enumerate(labels) if label not in familiar])
    return Figures(
        accuracy=accuracy(similarities, targets),
        top1=accuracy_interval(hits_at(similarities, targets, 1), targets),
        top5=accuracy_interval(hits_at(similarities, targets, 5), targets),
        half_splits=half_splits(similarities, targets),
        rejection=rejection(similarities, targets, knownness=knownness),
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
    """Rank samples of unseen (`test`) and seen classes (`known`) among all labels of `words`."""
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
    """Compute one row for each class, best first."""
    classes = len(labels)
    top1, top5 = (class_means(hits_at(similarities, targets, k), targets, classes) for k in (1, 5))
    counts = np.bincount(targets, minlength=classes)
    mistakes = prediction_counts(similarities, targets)
    np.fill_diagonal(mistakes, 0)
    rows = [
        ClassRow(
            label,
            int(counts[row]),
            float(top1[row]),
            float(top5[row]),
            labels[int(mistakes[row].argmax())] if mistakes[row].any() else "",
            label in familiar,
        )
        for row, label in enumerate(labels)
    ]
    return tuple(sorted(rows, key=lambda row: -row.top1))


def _triple(curve: Generalised, handicap: float) -> tuple[float, float, float]:
    seen, unseen = curve.at(handicap)
    return seen, unseen, harmonic_mean(seen, unseen)
