"""An immutable index of label prototypes, searched by calibrated similarity.

The search ranks by the standardised similarity (s - mean) / spread of `model.calibration`. With
the row [v / spread, -mean / spread] and the query [q, 1] that is one inner product, so FAISS ranks
by it exactly, and a label's own offset costs nothing at search time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import faiss
import numpy as np
import numpy.typing as npt

from model.text import label_key


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Prototypes:
    """A label's vectors: one for its name and prompts, one for each alias.

    `texts` (R,) name the rows for people, `vectors` is (R, dim) float32 unit, `background` is
    (R, 2) float32: mean and spread of the similarity over the checkpoint's background bank.
    """

    texts: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    background: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        rows, vectors, background = len(self.texts), self.vectors.shape, self.background.shape
        if not rows or vectors != (rows, vectors[-1]) or background != (rows, 2):
            raise ValueError(f"{rows} texts, vectors {vectors}, background {background}")


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
        self._names = [name for name, found in labels.values() for _ in found.texts]
        self._texts = [text for _, found in labels.values() for text in found.texts]
        self._most_rows = max((len(found.texts) for _, found in labels.values()), default=1)
        prototypes = [found for _, found in labels.values()]
        self._background = np.concatenate(
            [np.empty((0, 2), np.float32), *(found.background for found in prototypes)]
        )
        mean, spread = self._background[:, :1], self._background[:, 1:]
        rows = np.empty((len(self._names), dim + 1), np.float32)
        np.concatenate(
            [np.empty((0, dim), np.float32), *(found.vectors for found in prototypes)],
            out=rows[:, :-1],
        )
        rows[:, :-1] /= spread
        rows[:, -1:] = -mean / spread
        self._rows = faiss.IndexFlatIP(dim + 1)
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
        """The `top_k` labels nearest to each of (Q, dim) unit embeddings, best first.

        Equals are in the order in which they were added.
        """
        if embeddings.shape[1:] != (self._dim,):
            raise ValueError(f"embeddings {embeddings.shape} are not (Q, {self._dim})")
        queries = np.ones((len(embeddings), self._dim + 1), np.float32)
        queries[:, :-1] = embeddings
        # rows of top_k - 1 labels at most, and one more: that belongs to another label
        depth = min(len(self._names), (top_k - 1) * self._most_rows + 1)
        if depth < 1 or not len(queries):
            return [[] for _ in queries]
        standardised, rows = self._rows.search(queries, depth)
        order = np.lexsort((rows, -standardised))
        return [
            self._hits(values[ranked], found[ranked], top_k)
            for values, found, ranked in zip(standardised, rows, order, strict=True)
        ]

    def _hits(
        self, values: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], top_k: int
    ) -> list[Hit]:
        hits: dict[str, Hit] = {}
        for value, row in zip(values.tolist(), rows.tolist(), strict=True):
            # FAISS fills up with row -1 where nothing compares, as with an embedding of NaN
            if row < 0 or self._names[row] in hits:
                continue
            mean, spread = self._background[row].tolist()
            name = self._names[row]
            hits[name] = Hit(name, value * spread + mean, value, self._texts[row])
            if len(hits) == top_k:
                break
        return list(hits.values())
