"""The suites of an evaluation: each data set's unseen classes, beside those that training saw."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.training.data.manifest import Sample
from model.training.words.held_out import HeldOut

_TRAIN, _TEST = "train", "test"
_VALIDATION = ("validation", "val")
MIN_CLASSES = 2


@dataclass(frozen=True, slots=True)
class Suite:
    """The samples and labels of one data set that an evaluation ranks.

    `labels` are all labels of the data set, `seen` those that training used. `test` and
    `validation` contain samples of unseen classes, `known` samples of seen ones.
    `known_were_trained` is true when these are training samples, because there are no others.
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
    max_known: int = 20,
) -> tuple[list[Suite], list[str]]:
    """Plan the suites of a manifest, largest first; also return why other data sets have none.

    Classes in `held_out` are unseen, if there are any; labels in `dropped` overlap with them and
    were not trained on. Without held-out classes the column `split` decides: `test` (or empty),
    `validation`, `train`; a test class that also has training rows is a seen one. At most
    `max_known` samples of each seen class are used.
    """
    by_dataset: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.label:
            by_dataset[sample.dataset].append(sample)
    suites: list[Suite] = []
    left_out: list[str] = []
    for name, rows in by_dataset.items():
        if held_out.names:
            suite = _by_class(name, rows, held_out, dropped, max_known)
        else:
            suite = _by_split(name, rows, max_known)
        if len(suite.classes) >= MIN_CLASSES:
            suites.append(suite)
        elif suite.test:
            left_out.append(f"{name}: only {len(suite.classes)} unseen test class")
    return sorted(suites, key=lambda suite: -len(suite.test)), sorted(left_out)


def _by_class(
    name: str, rows: list[Sample], held_out: HeldOut, dropped: frozenset[str], max_known: int
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
        _few_of_each(kept_back or known, max_known),
        known_were_trained=bool(known) and not kept_back,
    )


def _by_split(name: str, rows: list[Sample], max_known: int) -> Suite:
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
        _few_of_each([sample for sample in test if sample.label in seen], max_known),
        known_were_trained=False,
    )


def _few_of_each(samples: Sequence[Sample], max_count: int) -> tuple[Sample, ...]:
    """At most `max_count` random samples of each label, in the given order."""
    by_label: dict[str, list[int]] = defaultdict(list)
    for row, sample in enumerate(samples):
        by_label[sample.label].append(row)
    rng = np.random.default_rng(0)
    chosen: list[int] = []
    for label in sorted(by_label):
        rows = by_label[label]
        chosen += rng.choice(rows, min(max_count, len(rows)), replace=False).tolist()
    return tuple(samples[row] for row in sorted(chosen))
