"""A million labels with vectors of the default checkpoint, made once and kept outside git.

100,000 phrases are really embedded. The others are composed: "A then B" has the mean of the texts'
vectors of A and B, which costs no run of the text model.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.store import DEFAULT_SET, LabelStore, NewLabel
from benchmarks.labels.phrases import PHRASES, pairs, phrases
from model import Label, Prototypes, Tagger, TextEncoder
from model.text.text_encoder import normalise

COMPOSED = " then "
_AT_ONCE = 20_000
_EMBEDDED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class LargeSet:
    """A data folder with `labels` labels in its default set."""

    folder: Path
    labels: int
    seconds_to_make: float

    @property
    def url(self) -> str:
        """The database's."""
        return f"sqlite:///{self.folder / 'labels.sqlite'}"


class ComposedSource:
    """Vectors of our phrases and of pairs of them; what the store needs of a checkpoint."""

    def __init__(self, tagger: Tagger, texts: npt.NDArray[np.float32]) -> None:
        self._tagger = tagger
        self._texts = texts
        self._place = {phrase: row for row, phrase in enumerate(phrases())}

    @property
    def text_space(self) -> str:
        return self._tagger.text_space

    @property
    def text(self) -> TextEncoder:
        return self._tagger.text

    @property
    def typical_videos(self) -> npt.NDArray[np.float32]:
        return self._tagger.typical_videos

    @property
    def video_space(self) -> str:
        return self._tagger.video_space

    def teach(self, prototypes: Prototypes, examples: npt.NDArray[np.float32]) -> Prototypes:
        return self._tagger.teach(prototypes, examples)

    def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
        parts = [label.name.split(COMPOSED) for label in labels]
        first = [self._place[part[0]] for part in parts]
        last = [self._place[part[-1]] for part in parts]
        means = normalise(self._texts[first] + self._texts[last])
        vectors = normalise(means - self._tagger.text_mean)
        background = self._tagger.calibration.background_of(vectors)
        return [
            Prototypes((label.name,), vectors[row : row + 1], background[row : row + 1])
            for row, label in enumerate(labels)
        ]


def large_set(tagger: Tagger, cache: Path, count: int) -> LargeSet:
    """The folder with so many labels, made if it is not there yet."""
    name = hashlib.sha256(f"{tagger.text_space} {tagger.video_space}".encode()).hexdigest()[:12]
    folder = cache / f"{count}-{name}"
    if folder.is_dir():
        return LargeSet(folder, count, 0.0)
    started = time.perf_counter()
    source = ComposedSource(tagger, text_vectors(tagger, cache))
    making = folder.with_suffix(".part")
    making.mkdir(parents=True, exist_ok=True)
    names = iter_names(count)
    store = LabelStore.open(
        f"sqlite:///{making / 'labels.sqlite'}", source, first_labels=[], max_labels=2 * count
    )
    try:
        while batch := [NewLabel(Label(name)) for name in islice(names, _AT_ONCE)]:
            store.upsert(DEFAULT_SET, batch)
    finally:
        store.close()
    making.rename(folder)
    return LargeSet(folder, count, time.perf_counter() - started)


def iter_names(count: int) -> "islice[str]":
    """`count` distinct names: the phrases, then pairs of them."""

    def names():
        known = phrases()
        yield from known
        for first, second in pairs(max(0, count - PHRASES)):
            yield f"{known[first]}{COMPOSED}{known[second]}"

    return islice(names(), count)


def text_vectors(tagger: Tagger, cache: Path) -> npt.NDArray[np.float32]:
    """(100,000, dim) unit: each phrase's mean over the templates, embedded once."""
    space = f"{tagger.text.model_hash} {tagger.templates}"
    path = cache / f"texts-{hashlib.sha256(space.encode()).hexdigest()[:12]}.npy"
    if path.is_file():
        kept: npt.NDArray[np.float32] = np.load(path)
        return kept
    known = phrases()
    vectors = np.empty((len(known), tagger.text.dim), np.float32)
    for start in range(0, len(known), _EMBEDDED_AT_ONCE):
        batch = known[start : start + _EMBEDDED_AT_ONCE]
        texts = [
            template.replace("{}", phrase) for phrase in batch for template in tagger.templates
        ]
        encoded = tagger.text.encode(texts).reshape(len(batch), len(tagger.templates), -1)
        vectors[start : start + len(batch)] = normalise(encoded.sum(axis=1))
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{os.getpid()}.npy")
    np.save(unfinished, vectors)
    unfinished.rename(path)
    return vectors
