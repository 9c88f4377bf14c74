"""Immutable columnar label storage: arrays of vectors, and tuples of names.

One Python object for each of a million labels would cost gigabytes and seconds.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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

# Rows copied per step: other threads can run between steps, and temporary copies stay small.
_BATCH = 16_384


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Prototypes:
    """A label's vectors: one for its name and prompts, one for each alias.

    `texts` (R,) are the name and the aliases. `vectors` is (R, dim) float32, of unit length.
    `background` is (R, 2) float32: level and spread of the similarity over the checkpoint's
    background bank. Raises ValueError when the shapes do not fit.
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

    `names` (L,); `texts` (R,); `orders` (L,) int64, ascending; `key_hashes` (L,) uint64, one for
    each label key; `starts` (L + 1,) int64: label i has the rows `starts[i]:starts[i + 1]`. `rows`
    is (R, dim + 1) float32: [vector / spread, -level / spread], whose inner product with
    [embedding, 1] is the standardised similarity of `model.calibration`. `background` is (R, 2)
    float32: level and spread.
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
        """Return a block without labels, for vectors of length `dim`."""
        return cls.of([], [], dim)

    @classmethod
    def of(
        cls, labels: Sequence[tuple[str, str, Prototypes]], orders: Sequence[int], dim: int
    ) -> Self:
        """Return a block of (key, name, prototypes) triples with ascending `orders`.

        Raises ValueError when a vector's length is not `dim`.
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
            # share the name's string object: most texts equal the name
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
    def max_rows(self) -> int:
        """Maximum number of rows of a label; 1 for an empty block."""
        return int(np.diff(self.starts).max(initial=1))

    @cached_property
    def label_of_row(self) -> Integers:
        """(R,) int64: the position of each row's label."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    @cached_property
    def _by_hash(self) -> tuple[npt.NDArray[np.uint64], Integers]:
        positions = np.argsort(self.key_hashes, kind="stable")
        return self.key_hashes[positions], positions

    def prepare(self) -> None:
        """Compute the cached properties, so that the first search or write does not."""
        _ = self._by_hash, self.label_of_row, self.max_rows

    def find(self, keys: Sequence[str]) -> Integers:
        """Return the position of each key's label, -1 where there is none."""
        hashes, positions = self._by_hash
        wanted = np.array([key_hash(key) for key in keys], np.uint64)
        first = np.searchsorted(hashes, wanted, side="left")
        behind = np.searchsorted(hashes, wanted, side="right")
        found = np.full(len(keys), -1, np.int64)
        for number in np.flatnonzero(first < behind).tolist():
            # two keys may share a hash: compare the names
            for position in positions[first[number] : behind[number]].tolist():
                if label_key(self.names[position]) == keys[number]:
                    found[number] = position
        return found


def join(parts: Sequence[tuple[LabelBlock, Mask]]) -> LabelBlock:
    """Join the labels selected by each block's mask into one block, sorted by order.

    The orders of selected labels must differ.
    """
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


def chained(blocks: list[LabelBlock]) -> LabelBlock:
    """Join blocks of different labels in ascending order.

    Empties `blocks`, at least one, so that memory holds hardly a row twice.
    """
    width = blocks[0].dim + 1
    rows = np.empty((sum(len(each.rows) for each in blocks), width), np.float32)
    others: list[LabelBlock] = []
    end = len(rows)
    while blocks:
        last = blocks.pop()
        rows[end - len(last.rows) : end] = last.rows
        end -= len(last.rows)
        others.append(replace(last, rows=np.empty((0, width), np.float32)))
    others.reverse()
    counts = np.concatenate([np.diff(each.starts) for each in others])
    return LabelBlock(
        names=tuple(chain.from_iterable(each.names for each in others)),
        texts=tuple(chain.from_iterable(each.texts for each in others)),
        orders=np.concatenate([each.orders for each in others]),
        key_hashes=np.concatenate([each.key_hashes for each in others]),
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        rows=rows,
        background=np.concatenate([each.background for each in others]),
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
    return (slice(start, start + _BATCH) for start in range(0, length, _BATCH))


def key_hash(key: str) -> int:
    """Return a 64-bit hash of a label key, the same in every process."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
