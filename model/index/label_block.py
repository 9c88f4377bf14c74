"""Many labels in columns that never change: the material of the index.

A million Python objects would cost gigabytes and seconds; arrays and one tuple of names do not.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from model.text.labels import label_key

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
_T = TypeVar("_T")

# moved in one go: other threads get the interpreter in between, and copies stay small
_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Prototypes:
    """A label's vectors: one for its name and prompts, one for each alias.

    `texts` (R,) name the rows for people, `vectors` is (R, dim) float32 unit, `background` is
    (R, 2) float32: level and spread of the similarity over the checkpoint's background bank.
    """

    texts: tuple[str, ...]
    vectors: Floats
    background: Floats

    def __post_init__(self) -> None:
        rows, vectors, background = len(self.texts), self.vectors.shape, self.background.shape
        if not rows or vectors != (rows, vectors[-1]) or background != (rows, 2):
            raise ValueError(f"{rows} texts, vectors {vectors}, background {background}")


@dataclass(frozen=True, repr=False, eq=False)
class LabelBlock:
    """L labels with R rows, in the order in which they were added.

    `names` (L,) and `texts` (R,); `orders` (L,) ascending; `key_hashes` (L,) of the label keys;
    label i has the rows `starts[i]` to `starts[i + 1]`, `starts` is (L + 1,). `rows` is
    (R, dim + 1): [vector / spread, -level / spread], whose inner product with [embedding, 1] is
    the standardised similarity of `model.calibration`; `background` is (R, 2), level and spread.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]
    orders: Integers
    key_hashes: npt.NDArray[np.uint64]
    starts: Integers
    rows: Floats
    background: Floats

    @classmethod
    def empty(cls, dim: int) -> Self:
        """No labels, for vectors of length `dim`."""
        return cls.of([], [], dim)

    @classmethod
    def of(
        cls, labels: Sequence[tuple[str, str, Prototypes]], orders: Sequence[int], dim: int
    ) -> Self:
        """A block of (key, name, prototypes) whose `orders` ascend.

        Raises ValueError when a vector has another dimension than `dim`.
        """
        counts = [len(found.texts) for _, _, found in labels]
        rows = np.empty((sum(counts), dim + 1), np.float32)
        background = np.empty((len(rows), 2), np.float32)
        starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
        for (_, _, found), start in zip(labels, starts.tolist(), strict=False):
            if found.vectors.shape[1] != dim:
                raise ValueError(f"vectors of dimension {found.vectors.shape[1]}, not {dim}")
            rows[start : start + len(found.texts), :-1] = found.vectors
            background[start : start + len(found.texts)] = found.background
        rows[:, :-1] /= background[:, 1:]
        rows[:, -1] = -background[:, 0] / background[:, 1]
        return cls(
            names=tuple(name for _, name, _ in labels),
            # one object where a text is the name, which it mostly is
            texts=tuple(
                name if text == name else text for _, name, found in labels for text in found.texts
            ),
            orders=np.array(orders, np.int64),
            key_hashes=np.array([key_hash(key) for key, _, _ in labels], np.uint64),
            starts=starts,
            rows=rows,
            background=background,
        )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dim(self) -> int:
        """Length of a prototype vector."""
        return int(self.rows.shape[1]) - 1

    @cached_property
    def most_rows(self) -> int:
        """Rows of the label that has the most; 1 when there is none."""
        return int(np.diff(self.starts).max(initial=1))

    @cached_property
    def label_of_row(self) -> Integers:
        """(R,) positions of the labels that the rows belong to."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    @cached_property
    def _by_hash(self) -> tuple[npt.NDArray[np.uint64], Integers]:
        positions = np.argsort(self.key_hashes, kind="stable")
        return self.key_hashes[positions], positions

    def prepare(self) -> None:
        """Computes now what the first write or search would have to wait for."""
        _ = self._by_hash, self.label_of_row, self.most_rows

    def find(self, keys: Sequence[str]) -> Integers:
        """The position of each key's label, -1 where there is none."""
        hashes, positions = self._by_hash
        wanted = np.array([key_hash(key) for key in keys], np.uint64)
        first = np.searchsorted(hashes, wanted, side="left")
        behind = np.searchsorted(hashes, wanted, side="right")
        found = np.full(len(keys), -1, np.int64)
        for number in np.flatnonzero(first < behind).tolist():
            # two keys may share a hash: the names decide
            for position in positions[first[number] : behind[number]].tolist():
                if label_key(self.names[position]) == keys[number]:
                    found[number] = position
        return found


def join(parts: Sequence[tuple[LabelBlock, Mask]]) -> LabelBlock:
    """One block of those labels of several that are marked, by their orders, which must differ."""
    blocks = [block for block, _ in parts]
    kept = np.concatenate([mask for _, mask in parts])
    orders = np.concatenate([block.orders for block in blocks])
    labels = np.flatnonzero(kept)
    labels = labels[np.argsort(orders[labels], kind="stable")]
    counts = np.concatenate([np.diff(block.starts) for block in blocks])
    first_rows = np.concatenate([[0], np.cumsum(counts)])[:-1][labels]
    counts = counts[labels]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    within = np.arange(starts[-1]) - np.repeat(starts[:-1], counts)
    sources: Integers = np.repeat(first_rows, counts) + within
    return LabelBlock(
        names=_pick([block.names for block in blocks], labels),
        texts=_pick([block.texts for block in blocks], sources),
        orders=orders[labels],
        key_hashes=np.concatenate([block.key_hashes for block in blocks])[labels],
        starts=starts,
        rows=_gather([block.rows for block in blocks], sources),
        background=_gather([block.background for block in blocks], sources),
    )


def _pick(columns: Sequence[Sequence[_T]], positions: Integers) -> tuple[_T, ...]:
    values = tuple(chain.from_iterable(columns))
    picked: list[_T] = []
    for chunk in _chunks(len(positions)):
        picked.extend(map(values.__getitem__, positions[chunk].tolist()))
    return tuple(picked)


def _gather(columns: Sequence[Floats], positions: Integers) -> Floats:
    gathered = np.empty((len(positions), columns[0].shape[1]), np.float32)
    base = 0
    for column in columns:
        taken = np.flatnonzero((positions >= base) & (positions < base + len(column)))
        for chunk in _chunks(len(taken)):
            gathered[taken[chunk]] = column[positions[taken[chunk]] - base]
        base += len(column)
    return gathered


def _chunks(length: int) -> Iterator[slice]:
    return (slice(start, start + _AT_ONCE) for start in range(0, length, _AT_ONCE))


def key_hash(key: str) -> int:
    """64 bits of a label key's digest, the same in every process."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
