"""An immutable index of label prototypes, searched by calibrated similarity.

The search ranks by the standardised similarity (s - mean) / spread of `model.calibration`. With
the row [v / spread, -mean / spread] and the query [q, 1] that is one inner product, so FAISS ranks
by it exactly, and a label's own offset costs nothing at search time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import faiss
import numpy as np
import numpy.typing as npt

from model.text import label_key


@dataclass(frozen=True, slots=True, repr=False)
class Prototypes:
    """A label's vectors: one for its name and prompts, one for each alias.

    `texts` (R,) name the rows for people, `vectors` is (R, dim) float32 unit, `background` is
    (R, 2) float32: mean and spread of the similarity over the checkpoint's background bank.
    """

    texts: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    background: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        rows = len(self.texts)
        if self.vectors.shape[:1] != (rows,) or self.background.shape != (rows, 2) or not rows:
            raise ValueError(
                f"{rows} texts, vectors {self.vectors.shape}, background {self.background.shape}"
            )


@dataclass(frozen=True, slots=True)
class Hit:
    """A label found: raw cosine, standardised similarity, and the text whose row won."""

    name: str
    similarity: float
    standardised: float
    text: str


class LabelIndex:
    """Labels and their prototypes; `upsert` and `remove` answer with a new index.

    A label's rows are reduced by their maximum. Names keep the caller's spelling and are told
    apart by `label_key`.
    """

    def __init__(self, labels: dict[str, tuple[str, Prototypes]], dim: int) -> None:
        self._labels = labels
        self._dim = dim
        self._names = [name for name, prototypes in labels.values() for _ in prototypes.texts]
        self._texts = [text for _, prototypes in labels.values() for text in prototypes.texts]
        self._most_rows = max((len(p.texts) for _, p in labels.values()), default=1)
        rows = np.empty((len(self._names), dim + 1), np.float32)
        self._background = np.empty((len(self._names), 2), np.float32)
        position = 0
        for _, prototypes in labels.values():
            end = position + len(prototypes.texts)
            spread = prototypes.background[:, 1:]
            rows[position:end, :-1] = prototypes.vectors / spread
            rows[position:end, -1:] = -prototypes.background[:, :1] / spread
            self._background[position:end] = prototypes.background
            position = end
        self._rows = faiss.IndexFlatIP(dim + 1)
        if len(rows):
            self._rows.add(rows)

    @classmethod
    def build(cls, items: Iterable[tuple[str, Prototypes]], dim: int) -> Self:
        """An index of (name, prototypes) pairs; of two with one key the later one stays."""
        return cls({label_key(name): (name, prototypes) for name, prototypes in items}, dim)

    def upsert(self, items: Iterable[tuple[str, Prototypes]]) -> "LabelIndex":
        """A new index with the given labels added or replaced."""
        added = {label_key(name): (name, prototypes) for name, prototypes in items}
        return LabelIndex({**self._labels, **added}, self._dim)

    def remove(self, names: Iterable[str]) -> "LabelIndex":
        """A new index without the given labels; unknown names are ignored."""
        gone = {label_key(name) for name in names}
        kept = {key: label for key, label in self._labels.items() if key not in gone}
        return LabelIndex(kept, self._dim)

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def dim(self) -> int:
        """Length of a prototype vector."""
        return self._dim

    @property
    def names(self) -> tuple[str, ...]:
        """Display names in insertion order."""
        return tuple(name for name, _ in self._labels.values())

    def search(self, embeddings: npt.NDArray[np.float32], top_k: int) -> list[list[Hit]]:
        """The `top_k` labels nearest to each of (Q, dim) unit embeddings, best first."""
        if not len(self._names) or not len(embeddings):
            return [[] for _ in embeddings]
        queries = np.ones((len(embeddings), self._dim + 1), np.float32)
        queries[:, :-1] = embeddings
        # enough rows that top_k labels remain when several rows of one label are found
        depth = min(len(self._names), top_k * self._most_rows)
        standardised, rows = self._rows.search(queries, depth)
        return [
            self._hits(values, found, top_k)
            for values, found in zip(standardised, rows, strict=True)
        ]

    def _hits(self, values: npt.NDArray[np.float32], rows: Sequence[int], top_k: int) -> list[Hit]:
        hits: dict[str, Hit] = {}
        for value, row in zip(values, rows, strict=True):
            name = self._names[row]
            if name in hits:
                continue
            mean, spread = self._background[row]
            similarity = float(value) * float(spread) + float(mean)
            hits[name] = Hit(name, similarity, float(value), self._texts[row])
            if len(hits) == top_k:
                break
        return list(hits.values())
