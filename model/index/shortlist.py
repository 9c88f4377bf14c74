"""Which few of very many rows may be the nearest: short codes that FAISS scans from end to end.

Searches come from one corner of the space: embeddings of videos, not of texts. The cells of an
inverted file are made for the rows and hide the best ones from such queries: of 200,000 rows a
quarter had to be searched to find 97 of 100. So each row is projected on the directions in which
queries lie, its numbers are rounded to one of 16 levels each, all these codes are scanned, and
the best thousand rows are compared exactly.
"""

from typing import Self

import faiss
import numpy as np
import numpy.typing as npt
import torch

from model.index.label_block import Floats, Integers

# 128 of 384 directions hold 97 % of the squares of our checkpoint's background bank.
_DIRECTIONS = 128
_BITS = 4
_TRAINING_ROWS = 20_000
# Rows that are compared exactly: at least so many, and so many for each that is asked for.
_LEAST_COMPARED = 1_000
_COMPARED_FOR_EACH = 10
_AT_ONCE = 16_384


class Shortlist:
    """Codes of (R, D) float32 rows; never changes.

    `directions` is (E, D) float32, `levels` (16 E,) float32 what the codes stand for, `codes`
    uint8 what FAISS scans, in its own order.
    """

    def __init__(
        self, rows: int, directions: Floats, levels: Floats, codes: npt.NDArray[np.uint8]
    ) -> None:
        self.directions = directions
        self._index = _untrained(len(directions))
        faiss.copy_array_to_vector(np.ascontiguousarray(levels), self._index.pq.centroids)
        self._index.is_trained = True
        self._index.codes.resize(codes.nbytes)
        packed = np.ascontiguousarray(codes)
        faiss.memcpy(self._index.codes.get(), faiss.swig_ptr(packed), packed.nbytes)
        self._index.ntotal = rows
        block = self._index.bbs
        padded = -(-rows // block) * block
        self._index.ntotal2 = padded  # type: ignore[attr-defined]  # its types lack it

    @classmethod
    def over(cls, rows: Floats, queries: Floats) -> Self:
        """A shortlist for searches like `queries`, a sample of (N, D); N may be 0.

        There must be 16 rows. A million rows take ten seconds of one processor.
        """
        generator = np.random.default_rng(0)
        size = min(len(rows), _TRAINING_ROWS)
        sample = rows[np.sort(generator.choice(len(rows), size, replace=False))]
        directions = _directions_of(queries if len(queries) else sample)
        index = _untrained(len(directions))
        index.pq.cp.min_points_per_centroid = 1
        index.train(_projected(sample, directions))
        for start in range(0, len(rows), _AT_ONCE):
            index.add(_projected(rows[start : start + _AT_ONCE], directions))
        levels = faiss.vector_to_array(index.pq.centroids)
        return cls(len(rows), directions, levels, _codes_of(index))

    @property
    def levels(self) -> Floats:
        """See the class."""
        levels: Floats = faiss.vector_to_array(self._index.pq.centroids)
        return levels

    @property
    def codes(self) -> npt.NDArray[np.uint8]:
        """See the class."""
        return _codes_of(self._index)

    def nearest(
        self, queries: Floats, rows: Floats, depth: int, gone: npt.NDArray[np.bool_] | None = None
    ) -> tuple[Floats, Integers] | None:
        """Inner products and positions of the best `depth` rows for each of (Q, D) queries.

        Best first. `rows` are those that it was made over, `gone` (R,) marks rows that are not to
        be found. None when too many of the best are gone to say.
        """
        compared = min(len(rows), max(_LEAST_COMPARED, _COMPARED_FOR_EACH * depth))
        _, found = self._index.search(_projected(queries, self.directions), compared)
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


def _untrained(directions: int) -> faiss.IndexPQFastScan:
    # one number in each part: a scalar quantiser whose levels are where the numbers are
    return faiss.IndexPQFastScan(directions, directions, _BITS, faiss.METRIC_INNER_PRODUCT)


def _directions_of(vectors: Floats) -> Floats:
    """(E, D): the orthonormal directions that hold most of the vectors' squares."""
    exact = torch.from_numpy(np.array(vectors, np.float64))
    _, directions = torch.linalg.eigh(exact.T @ exact)
    # eigh's order is ascending
    return np.ascontiguousarray(directions.numpy()[:, ::-1].T[:_DIRECTIONS], np.float32)


def _projected(rows: Floats, directions: Floats) -> Floats:
    return _product(rows, directions.T)


def _product(left: Floats, right: Floats) -> Floats:
    """`left @ right` by torch.

    NumPy's BLAS ends its threads whenever the process forks, and a product that another thread
    is computing then never returns, nor does the fork: uvloop's subprocesses hang with it.
    """
    # a copy of what is mapped from a file: torch takes no array that cannot be written
    first, second = (torch.from_numpy(np.require(each, requirements="W")) for each in (left, right))
    product: Floats = (first @ second).numpy()
    return product


def _codes_of(index: faiss.IndexPQFastScan) -> npt.NDArray[np.uint8]:
    codes: npt.NDArray[np.uint8] = faiss.rev_swig_ptr(index.codes.get(), index.codes.size())
    return codes.copy()
