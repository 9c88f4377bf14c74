"""Approximate search over many rows: a first stage on 4-bit codes, then an exact re-rank.

Each row is projected onto the main directions of typical queries, rotated at random so that all
coordinates vary alike, and each coordinate is quantised to one of 16 levels (4 bits). FAISS scans
the codes of all rows, each part of them in its own thread; then the best thousand rows are compared
exactly.
See `docs/decisions/0016-the-first-stage-of-a-search-scans-every-row.md`.

torch is imported by the functions that compute with it: commands that only list labels come here
through the store, and would wait seconds for it.
"""

import os
from collections.abc import Sequence
from typing import Self

import faiss
import numpy as np
import numpy.typing as npt

from model.index.label_block import Floats, Integers

# 160 of 641 directions contain 99.8 % of the squared length of typical searches for windows.
_DIRECTIONS = 160
_BITS = 4
_TRAINING_ROWS = 20_000
# Rows compared exactly: a minimum, and a number for each row that is requested.
_MIN_COMPARED = 1_000
_COMPARED_PER_ROW = 20
_BATCH = 16_384
# A scan is as fast as memory allows with a few threads.
_MAX_PARTS = 4


class Shortlist:
    """4-bit codes of (R, D) float32 rows in FAISS indexes; immutable.

    `directions` is (E, D) float32, orthonormal; rows and queries are projected onto them. `parts`
    are indexes of consecutive rows, each of which a thread scans.
    """

    def __init__(self, directions: Floats, parts: Sequence[faiss.Index]) -> None:
        self.directions = directions
        self._parts = tuple(parts)
        # one thread for each part; rows are numbered through all parts
        self._codes = faiss.IndexShards(
            len(directions),
            True,
            True,  # type: ignore[call-arg]  # its types lack them
        )
        for part in self._parts:
            self._codes.add_shard(part)

    @classmethod
    def over(cls, rows: Floats, queries: Floats) -> Self:
        """Build the codes of at least 16 rows, for searches like the (N, D) sample `queries`.

        Without queries, the directions are those of the rows. A million rows take ten seconds of
        one core.
        """
        generator = np.random.default_rng(0)
        size = min(len(rows), _TRAINING_ROWS)
        sample = rows[np.sort(generator.choice(len(rows), size, replace=False))]
        directions = _rotated(_directions_of(queries if len(queries) else sample))
        # one coordinate per sub-quantiser: a scalar quantiser with trained levels
        codes = faiss.IndexPQFastScan(
            len(directions), len(directions), _BITS, faiss.METRIC_INNER_PRODUCT
        )
        codes.pq.cp.min_points_per_centroid = 1
        codes.train(_projected(sample, directions))
        count = min(_MAX_PARTS, len(os.sched_getaffinity(0)))
        return cls(directions, [_filled(codes, part, directions) for part in _split(rows, count)])

    @classmethod
    def unpacked(cls, directions: Floats, packed: Sequence[npt.NDArray[np.uint8]]) -> Self:
        """Restore a shortlist from its directions and `packed`."""
        return cls(directions, [faiss.deserialize_index(part) for part in packed])

    @property
    def packed(self) -> list[npt.NDArray[np.uint8]]:
        """The codes and their levels in FAISS's serialised form, as uint8, of each part."""
        return [faiss.serialize_index(part) for part in self._parts]

    def nearest(
        self, queries: Floats, rows: Floats, depth: int, gone: npt.NDArray[np.bool_] | None = None
    ) -> tuple[Floats, Integers] | None:
        """Return inner products and positions, (Q, depth) each, of the best rows, best first.

        `queries` is (Q, D); `rows` are the rows that the codes were built from; `gone` (R,) bool
        marks rows to leave out. Returns None when more than half of the first stage's rows are
        gone, since the second stage then cannot tell the best.
        """
        compared = min(len(rows), max(_MIN_COMPARED, _COMPARED_PER_ROW * depth))
        _, found = self._codes.search(_projected(queries, self.directions), compared)
        hidden = found < 0
        if gone is not None:
            hidden |= gone[found]
        if np.count_nonzero(hidden, axis=1).max(initial=0) > compared // 2:
            return None
        values = np.stack(
            [_product(rows[at], query) for at, query in zip(found, queries, strict=True)]
        )
        values[hidden] = -np.inf
        best = np.argsort(-values, axis=1, kind="stable")[:, :depth]
        values = np.take_along_axis(values, best, 1)
        positions = np.take_along_axis(found, best, 1)
        positions[values == -np.inf] = -1
        return values, positions


def _split(rows: Floats, count: int) -> list[Floats]:
    return [part for part in np.array_split(rows, count) if len(part)]


def _filled(trained: faiss.Index, rows: Floats, directions: Floats) -> faiss.Index:
    codes = faiss.clone_index(trained)
    for start in range(0, len(rows), _BATCH):
        codes.add(_projected(rows[start : start + _BATCH], directions))
    return codes


def _directions_of(vectors: Floats) -> Floats:
    """Return (E, D) float32: the main directions of the vectors, orthonormal.

    They are the eigenvectors of the uncentred covariance with the largest eigenvalues.
    """
    import torch

    exact = torch.from_numpy(np.array(vectors, np.float64))
    _, directions = torch.linalg.eigh(exact.T @ exact)
    # eigh sorts in ascending order
    return np.ascontiguousarray(directions.numpy()[:, ::-1].T[:_DIRECTIONS], np.float32)


def _rotated(directions: Floats) -> Floats:
    """Return (E, D) float32: a random rotation of the directions within their subspace.

    FAISS rounds the products of a query with all levels to 8 bits with one scale. One direction
    that varies more than the others would take that precision from them.
    """
    import torch

    size = len(directions)
    seeded = torch.Generator().manual_seed(0)
    rotation, _ = torch.linalg.qr(torch.randn(size, size, generator=seeded))
    return _product(rotation.numpy(), directions)


def _projected(rows: Floats, directions: Floats) -> Floats:
    return _product(rows, directions.T)


def _product(left: Floats, right: Floats) -> Floats:
    """Return `left @ right`, computed by torch.

    NumPy's BLAS stops its threads when the process forks. A product in another thread then never
    returns, and the fork hangs too; uvloop forks for subprocesses.
    """
    import torch

    # torch warns about read-only arrays, such as those mapped from a file: copy them
    first, second = (torch.from_numpy(np.require(each, requirements="W")) for each in (left, right))
    product: Floats = (first @ second).numpy()
    return product
