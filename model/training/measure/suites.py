"""What an evaluation asks: each data set's held-out classes, beside those that training saw."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.training.data.manifest import Sample
from model.training.words.texts import HeldOut

_TRAIN, _TEST = "train", "test"
_VALIDATION = ("validation", "val")
FEWEST_CLASSES = 2


@dataclass(frozen=True, slots=True)
class Suite:
    """One data set's question.

    `labels` are all labels of the data set, `seen` those that training used. `test` and
    `validation` hold samples of unseen classes, `known` samples of seen ones; where the manifest
    keeps none of those back, `known_were_trained` says that they are the training samples.
    """

    name: str
    labels: tuple[str, ...]
    seen: frozenset[str]
    test: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    known: tuple[Sample, ...]
    known_were_trained: bool

    @property
    def classes(self) -> tuple[str, ...]:
        """The unseen classes of the test, sorted."""
        return tuple(sorted({sample.label for sample in self.test}))


def plan_suites(
    samples: Sequence[Sample],
    held_out: HeldOut,
    dropped: frozenset[str] = frozenset(),
    *,
    most_known: int = 20,
) -> tuple[list[Suite], list[str]]:
    """The suites of a manifest, largest first, and why data sets with test samples have none.

    With classes in `held_out` these decide; labels in `dropped` were too near to them to be
    trained on. Without, the column `split` decides: `test` (or nothing), `validation`, `train`;
    a test class that also has training rows is a seen one. At most `most_known` samples of each
    seen class are taken.
    """
    by_dataset: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.label:
            by_dataset[sample.dataset].append(sample)
    suites: list[Suite] = []
    left_out: list[str] = []
    for name, rows in by_dataset.items():
        if held_out.names:
            suite = _by_class(name, rows, held_out, dropped, most_known)
        else:
            suite = _by_split(name, rows, most_known)
        if len(suite.classes) >= FEWEST_CLASSES:
            suites.append(suite)
        elif suite.test:
            left_out.append(f"{name}: only {len(suite.classes)} unseen test class")
    return sorted(suites, key=lambda suite: -len(suite.test)), sorted(left_out)


def _by_class(
    name: str, rows: list[Sample], held_out: HeldOut, dropped: frozenset[str], most_known: int
) -> Suite:
    labels = {sample.label for sample in rows}
    seen = frozenset(labels - set(held_out.names) - dropped)
    known = [sample for sample in rows if sample.label in seen]
    kept_back = [sample for sample in known if sample.split == _TEST]
    return Suite(
        name,
        tuple(sorted(labels)),
        seen,
        tuple(sample for sample in rows if sample.label in held_out.test),
        tuple(sample for sample in rows if sample.label in held_out.validation),
        _few_of_each(kept_back or known, most_known),
        known_were_trained=bool(known) and not kept_back,
    )


def _by_split(name: str, rows: list[Sample], most_known: int) -> Suite:
    seen = frozenset(sample.label for sample in rows if sample.split == _TRAIN)
    test = [sample for sample in rows if sample.split in (_TEST, "")]
    validation = [sample for sample in rows if sample.split in _VALIDATION]
    unseen = [sample for sample in test if sample.label not in seen]
    return Suite(
        name,
        tuple(sorted({sample.label for sample in rows})),
        seen,
        tuple(unseen),
        tuple(sample for sample in validation if sample.label not in seen),
        _few_of_each([sample for sample in test if sample.label in seen], most_known),
        known_were_trained=False,
    )


def _few_of_each(samples: Sequence[Sample], most: int) -> tuple[Sample, ...]:
    """At most `most` samples of each label, drawn evenly, in order."""
    by_label: dict[str, list[int]] = defaultdict(list)
    for row, sample in enumerate(samples):
        by_label[sample.label].append(row)
    rng = np.random.default_rng(0)
    chosen: list[int] = []
    for label in sorted(by_label):
        rows = by_label[label]
        chosen += rng.choice(rows, min(most, len(rows)), replace=False).tolist()
    return tuple(samples[row] for row in sorted(chosen))
