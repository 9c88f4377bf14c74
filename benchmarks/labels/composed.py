"""A million labels with vectors of the default checkpoint, made once and kept in a cache.

100,000 phrases are embedded. The others are composed: "A then B" gets the mean of the text vectors
of A and B, so that the text model does not run for it.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
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
_LABELS_PER_WRITE = 20_000
_PHRASES_PER_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class LargeSet:
    """A data folder with `labels` labels in its default set."""

    folder: Path
    labels: int
    seconds_to_make: float

    @property
    def url(self) -> str:
        """Address of the database."""
        return f"sqlite:///{self.folder / 'labels.sqlite'}"


class ComposedSource:
    """Vectors of the phrases and of pairs of them, with the interface that the store needs."""

    def __init__(self, tagger: Tagger, texts: npt.NDArray[np.float32]) -> None:
        self._tagger = tagger
        self._texts = texts
        self._row_of = {phrase: row for row, phrase in enumerate(phrases())}

    @property
    def dim(self) -> int:
        return self._tagger.encoder.dim

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
        first = [self._row_of[part[0]] for part in parts]
        last = [self._row_of[part[-1]] for part in parts]
        means = normalise(self._texts[first] + self._texts[last])
        vectors = self._tagger.in_video_space(normalise(means - self._tagger.text_mean))
        background = self._tagger.calibration.background_of(vectors)
        return [
            Prototypes((label.name,), vectors[row : row + 1], background[row : row + 1])
            for row, label in enumerate(labels)
        ]


def large_set(tagger: Tagger, cache: Path, count: int) -> LargeSet:
    """The set of `count` labels in `cache`; makes it if it does not exist."""
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
        while batch := [NewLabel(Label(name)) for name in islice(names, _LABELS_PER_WRITE)]:
            store.upsert(DEFAULT_SET, batch)
    finally:
        store.close()
    making.rename(folder)
    return LargeSet(folder, count, time.perf_counter() - started)


def iter_names(count: int) -> Iterator[str]:
    """Yield `count` distinct names: the phrases, then pairs of them."""
    known = phrases()
    yield from known[:count]
    for first, second in pairs(max(0, count - PHRASES)):
        yield f"{known[first]}{COMPOSED}{known[second]}"


def text_vectors(tagger: Tagger, cache: Path) -> npt.NDArray[np.float32]:
    """(100,000, dim) float32 unit vectors: mean over the templates of each phrase."""
    space = f"{tagger.text.model_hash} {tagger.templates}"
    path = cache / f"texts-{hashlib.sha256(space.encode()).hexdigest()[:12]}.npy"
    if path.is_file():
        kept: npt.NDArray[np.float32] = np.load(path)
        return kept
    known = phrases()
    vectors = np.empty((len(known), tagger.text.dim), np.float32)
    for start in range(0, len(known), _PHRASES_PER_BATCH):
        batch = known[start : start + _PHRASES_PER_BATCH]
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
