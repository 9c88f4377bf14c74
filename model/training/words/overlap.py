"""Which training texts are too near a class that must stay unseen (the paper, section 3).

Rule: the same lemmas, or the lemmas of one inside the other's, or a cosine distance below `tau`.
The paper's tau of 0.05 is for word2vec; sentence embeddings put pairs of one meaning up to about
0.25 apart ("skydiving" / "sky diving" 0.23) and clearly different pairs from about 0.15 on, so
that the default of 0.25 rather removes too much.
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
_EMPTY_WORDS = frozenset(
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
def _empty_stems() -> frozenset[str]:
    return frozenset(_stemmer().stemWords(sorted(_EMPTY_WORDS)))


@dataclass(frozen=True, slots=True)
class Overlap:
    """A training text that overlaps with a held-out class, by which rule.

    `distance` is their cosine distance, None for a caption, where it says nothing.
    """

    text: str
    held_out: str
    rule: str
    distance: float | None


def lemmas(text: str) -> frozenset[str]:
    """The stems of the text's words without empty words ("play" is one: it says too little)."""
    stems = _stemmer().stemWords(_WORD.findall(text.casefold()))
    return frozenset(stem for stem in stems if stem not in _empty_stems())


def label_overlaps(
    labels: Sequence[str],
    held_out: Sequence[str],
    distances: npt.NDArray[np.float32],
    *,
    tau: float = DEFAULT_TAU,
) -> list[Overlap]:
    """Every overlap of training `labels` (N) with `held_out` (M); `distances` is (N, M) cosine."""
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
    """Every caption that holds all of a held-out class's lemmas."""
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
