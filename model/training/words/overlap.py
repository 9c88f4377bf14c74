"""Find training texts that overlap with a held-out class (the paper, section 3).

Two texts overlap if they have the same lemmas, if the lemmas of one contain those of the other, or
if their cosine distance is below `tau`. The paper's tau of 0.05 is for word2vec. With sentence
embeddings, pairs of one meaning have distances up to about 0.25 ("skydiving" / "sky diving" 0.23)
and clearly different pairs from about 0.15 on; the default of 0.25 removes too much rather than
too little.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import snowballstemmer

DEFAULT_TAU = 0.25
_WORD = re.compile(r"[a-z0-9]+")
_STOP_WORDS = frozenset(
    (
        *("a", "an", "and", "at", "by", "do", "doing", "for", "from", "in", "into", "is", "of"),
        *("on", "onto", "or", "out", "over", "people", "person", "play", "someone", "the", "to"),
        *("up", "using", "with"),
    )
)


@cache
def _stemmer() -> Any:
    return snowballstemmer.stemmer("english")


@cache
def _stop_stems() -> frozenset[str]:
    return frozenset(_stemmer().stemWords(sorted(_STOP_WORDS)))


@dataclass(frozen=True, slots=True)
class Overlap:
    """A training text that overlaps with a held-out class, and the rule that found it.

    `distance` is their cosine distance, None for a caption, where it is not meaningful.
    """

    text: str
    held_out: str
    rule: str
    distance: float | None


def lemmas(text: str) -> frozenset[str]:
    """Stem the text's words, without stop words ("play" is one, because it is too general)."""
    stems = _stemmer().stemWords(_WORD.findall(text.casefold()))
    return frozenset(stem for stem in stems if stem not in _stop_stems())


def label_overlaps(
    labels: Sequence[str],
    held_out: Sequence[str],
    distances: npt.NDArray[np.float32],
    *,
    tau: float = DEFAULT_TAU,
) -> list[Overlap]:
    """Find all overlaps of N `labels` with M `held_out` classes; `distances` (N, M) are cosine."""
    classes = [(name, lemmas(name)) for name in held_out]
    overlaps: list[Overlap] = []
    for row, label in enumerate(labels):
        words = lemmas(label)
        for column, (name, needed) in enumerate(classes):
            distance = float(distances[row, column])
            rule = _label_rule(words, needed, distance, tau)
            if rule:
                overlaps.append(Overlap(label, name, rule, distance))
    return overlaps


def caption_overlaps(captions: Sequence[str], held_out: Sequence[str]) -> list[Overlap]:
    """Find all captions that contain all lemmas of a held-out class."""
    classes = [(name, lemmas(name)) for name in held_out]
    return [
        Overlap(caption, name, "contains the class", None)
        for caption in captions
        for words in [lemmas(caption)]
        for name, needed in classes
        if needed and needed <= words
    ]


def _label_rule(words: frozenset[str], needed: frozenset[str], distance: float, tau: float) -> str:
    if words == needed:
        return "same lemmas"
    if needed and needed <= words:
        return "contains the class"
    if words and words <= needed:
        return "inside the class"
    return f"distance below {tau}" if distance < tau else ""
