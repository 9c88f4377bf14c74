"""Which few of very many rows may be the nearest: an inverted file over bytes, by FAISS.

The rows lie in cells around centroids, coded with one byte for each number. A search looks into
the cells nearest to the query; what it finds is compared exactly by the rows themselves.
"""

import math
from typing import Self

import faiss
import numpy as np
import numpy.typing as npt

from model.label_block import Floats, Integers

# Cells per square root of the number of rows; training with so many rows for each cell.
_CELLS = 2.0
_ROWS_PER_CELL = 50
_ITERATIONS = 10
# The share of the cells that a search looks into, and the rows that it compares exactly.
_SHARE_OF_CELLS = 1 / 16
_LEAST_CELLS = 32
_LEAST_COMPARED = 200
# When the rows have grown by this factor the cells are made anew.
_OUTGROWN = 2.0
_AT_ONCE = 65_536


class Shortlist:
    """Cells and codes of (R, D) float32 rows; never changes.

    `cells` (R,) int32 are the rows' cells, `centroids` is (C, D), `ranges` (2 D,) the least value
    and the extent of each number of a row, less its centroid. Coding a million rows takes seconds.
    """

    def __init__(
        self, rows: Floats, cells: npt.NDArray[np.int32], centroids: Floats, ranges: Floats
    ) -> None:
        self.cells = cells
        self.centroids = centroids
        self.ranges = ranges
        dim = rows.shape[1]
        # kept beside the index, which only borrows it
        self._coarse = faiss.IndexFlatIP(dim)
        self._coarse.add(np.ascontiguousarray(centroids))
        self._index = _untrained(self._coarse, len(centroids))
        faiss.copy_array_to_vector(np.ascontiguousarray(ranges), self._index.sq.trained)
        self._index.is_trained = True
        for start in range(0, len(rows), _AT_ONCE):
            chunk = slice(start, start + _AT_ONCE)
            added, at = np.ascontiguousarray(rows[chunk]), cells[chunk].astype(np.int64)
            self._index.add_core(len(added), faiss.swig_ptr(added), None, faiss.swig_ptr(at))
        share = math.ceil(len(centroids) * _SHARE_OF_CELLS)
        self._probes = min(len(centroids), max(_LEAST_CELLS, share))

    @classmethod
    def over(
        cls, rows: Floats, older: "Shortlist | None" = None, sources: Integers | None = None
    ) -> Self:
        """A shortlist over rows, of which many may come from an `older` one's.

        `sources` (R,) says which of the older one's rows each row was, or a number beyond them.
        The older one's cells are kept until the rows have outgrown them.
        """
        if older is None or sources is None or older.is_outgrown_by(len(rows)):
            centroids, ranges = _train(rows)
            cells = _cells_of(rows, centroids)
        else:
            centroids, ranges = older.centroids, older.ranges
            known = sources < len(older.cells)
            cells = np.empty(len(rows), np.int32)
            cells[known] = older.cells[sources[known]]
            cells[~known] = _cells_of(rows[~known], centroids)
        return cls(rows, cells, centroids, ranges)

    def is_outgrown_by(self, rows: int) -> bool:
        """Whether so many rows deserve more cells, or far fewer."""
        ratio = _cell_count(rows) ** 2 / len(self.centroids) ** 2
        return not 1 / _OUTGROWN <= ratio <= _OUTGROWN

    def nearest(
        self,
        queries: Floats,
        rows: Floats,
        depth: int,
        present: npt.NDArray[np.uint8] | None = None,
    ) -> tuple[Floats, Integers]:
        """Inner products and positions of the best `depth` rows for each of (Q, D) queries.

        Best first; -1 where there are no more. `rows` are those that it was made over; `present`
        has a bit for each row, 0 for one that is not to be found.
        """
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = self._probes
        if present is not None:
            parameters.sel = faiss.IDSelectorBitmap(len(present), faiss.swig_ptr(present))
        _, found = self._index.search(queries, max(_LEAST_COMPARED, 2 * depth), params=parameters)
        values = np.einsum("qrd,qd->qr", rows[found], queries)
        values[found < 0] = -np.inf
        best = np.argsort(-values, axis=1, kind="stable")[:, :depth]
        return np.take_along_axis(values, best, 1), np.take_along_axis(found, best, 1)


def _untrained(coarse: faiss.Index, cells: int) -> faiss.IndexIVFScalarQuantizer:
    return faiss.IndexIVFScalarQuantizer(
        coarse,
        coarse.d,
        cells,
        faiss.ScalarQuantizer.QT_8bit,
        faiss.METRIC_INNER_PRODUCT,
    )


def _cell_count(rows: int) -> int:
    return max(1, min(rows, round(_CELLS * math.sqrt(rows))))


def _train(rows: Floats) -> tuple[Floats, Floats]:
    """Centroids and value ranges from a sample of the rows, always the same one."""
    cells = _cell_count(len(rows))
    generator = np.random.default_rng(0)
    size = min(len(rows), cells * _ROWS_PER_CELL)
    sample = rows[np.sort(generator.choice(len(rows), size, replace=False))]
    coarse = faiss.IndexFlatIP(rows.shape[1])
    index = _untrained(coarse, cells)
    index.cp.niter = _ITERATIONS
    index.cp.min_points_per_centroid = 1
    index.cp.max_points_per_centroid = _ROWS_PER_CELL
    index.train(sample)
    centroids = coarse.reconstruct_n(0, cells)
    return centroids, faiss.vector_to_array(index.sq.trained)


def _cells_of(rows: Floats, centroids: Floats) -> npt.NDArray[np.int32]:
    cells = np.empty(len(rows), np.int32)
    for start in range(0, len(rows), _AT_ONCE):
        chunk = slice(start, start + _AT_ONCE)
        _, nearest = faiss.knn(rows[chunk], centroids, 1, faiss.METRIC_INNER_PRODUCT)
        cells[chunk] = nearest[:, 0]
    return cells
