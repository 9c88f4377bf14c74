"""Do scores mean what they say for small and large label sets, and for taught labels?

Used by `everyday`. All functions work on embeddings of labelled everyday videos.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model import Label, LabelIndex, Prototypes, Tagger
from model.training.measure.metrics import auroc, reliability

Vectors = npt.NDArray[np.float32]
SIZES = (1, 2, 5, 10, 25, 50, 100, 200)
_DRAWS = 8
_AS_MANY_UNKNOWN = 8


@dataclass(frozen=True, slots=True)
class SizeRow:
    """Random sets of `size` labels, of which `with_right` (0..1) have the right one.

    Errors are 0..1. `first_error` is the calibration error of the first tag's score,
    `unknown_error` that of `unknown`, `sure_right` the share of first tags with a score of 0.6 or
    more that are right.
    """

    size: int
    with_right: float
    first_error: float
    unknown_error: float
    unknown_auroc: float
    sure: int
    sure_right: float


@dataclass(frozen=True, slots=True)
class TaughtRow:
    """Videos of labels with several videos, among all labels, before and after one example.

    `mean_score` is the mean score of the first tag; it should equal `right`, the share of first
    tags that are right.
    """

    name: str
    videos: int
    labels: int
    right: float
    mean_score: float
    calibration_error: float


def by_size(
    tagger: Tagger, embeddings: Vectors, labels: Sequence[str], sizes: Sequence[int] = SIZES
) -> list[SizeRow]:
    """Measure random label sets of each size.

    A set of n labels has the right one with the chance that the scores were fitted for, n / (n + 8)
    and at least a half (decision 44): what a score means depends on it.
    """
    names = sorted(set(labels))
    prototypes = dict(zip(names, tagger.prototypes([Label(name) for name in names]), strict=True))
    draw = random.Random(5)
    return [
        _size_row(tagger, embeddings, labels, prototypes, size, draw)
        for size in sizes
        if size < len(names)
    ]


def _size_row(
    tagger: Tagger,
    embeddings: Vectors,
    labels: Sequence[str],
    prototypes: Mapping[str, Prototypes],
    size: int,
    draw: random.Random,
) -> SizeRow:
    scores, right, unknown, is_missing = [], [], [], []
    chance = max(0.5, size / (size + _AS_MANY_UNKNOWN))
    for embedding, own in zip(embeddings, labels, strict=True):
        others = sorted(prototypes.keys() - {own})
        for _ in range(_DRAWS):
            some = draw.sample(others, size)
            if draw.random() < chance:
                some[-1] = own
            first, nothing = _tagged(tagger, embedding, some, prototypes)
            scores.append(first[1])
            right.append(first[0] == own)
            unknown.append(nothing)
            is_missing.append(own not in some)
    hits, missing = np.array(right), np.array(is_missing)
    sure = np.array(scores) >= 0.6
    none = np.array(unknown)
    return SizeRow(
        size,
        float(1 - missing.mean()),
        reliability(np.array(scores), hits).error,
        reliability(none, missing).error,
        auroc(none[missing], none[~missing]),
        int(sure.sum()),
        float(hits[sure].mean()) if sure.any() else float("nan"),
    )


def _tagged(
    tagger: Tagger, embedding: Vectors, some: Sequence[str], prototypes: Mapping[str, Prototypes]
) -> tuple[tuple[str, float], float]:
    index = LabelIndex.build([(name, prototypes[name]) for name in some], tagger.encoder.dim)
    [first], unknown = tagger.tag_embedding(embedding, index, top_k=1)
    return (first.label, first.score), unknown.score


def taught(tagger: Tagger, embeddings: Vectors, labels: Sequence[str]) -> list[TaughtRow]:
    """Teach each label that has several videos with one of them, and tag its other videos.

    Every video of such a label is asked for once, and another one of its label is the example.
    """
    names = sorted(set(labels))
    words = dict(zip(names, tagger.prototypes([Label(name) for name in names]), strict=True))
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(labels):
        rows[name].append(row)
    several = {name: own for name, own in rows.items() if len(own) > 1}
    found: dict[str, list[tuple[float, bool]]] = {"words alone": [], "one example": []}
    for name, own in several.items():
        for place, row in enumerate(own):
            example = embeddings[[own[place - 1]]]
            with_example = {**words, name: tagger.teach(words[name], example)}
            for kind, prototypes in (("words alone", words), ("one example", with_example)):
                first, _ = _tagged(tagger, embeddings[row], names, prototypes)
                found[kind].append((first[1], first[0] == name))
    return [
        TaughtRow(
            kind,
            len(pairs),
            len(several),
            float(np.mean([right for _, right in pairs])),
            float(np.mean([score for score, _ in pairs])),
            reliability(np.array([s for s, _ in pairs]), np.array([r for _, r in pairs])).error,
        )
        for kind, pairs in found.items()
    ]
