"""An immutable index of label prototypes, searched by calibrated similarity.

The search ranks by the standardised similarity (s - level) / spread of `model.calibration`. With
the row [v / spread, -level / spread] and the query [q, 1] that is one inner product, so FAISS ranks
by it exactly, and a label's own offset costs nothing at search time.

An index consists of a large block (`base`) and a small one (`delta`). A write returns a new index
that shares the large block: it copies the small one, and marks removed labels in `gone`. `merged`
joins both blocks, which takes seconds for a large index: call it in a background thread.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Self

import faiss
import numpy as np

from model.index.label_block import Floats, Integers, LabelBlock, Mask, Prototypes, chained, join
from model.index.shortlist import Shortlist
from model.text.labels import label_key

# Up to this many rows, a search compares all; beyond, a shortlist selects the rows to compare.
MAX_EXACT_ROWS = 100_000
# A merge needs at least this many changes, and this share of the large block's rows.
_MIN_CHANGES = 2_000
_MIN_SHARE_OF_CHANGES = 0.01
# Above this `top_k`, comparing all rows takes less time than the shortlist.
_MAX_SHORTLISTED = 500
_BATCH = 10_000
# Below this number of products, threads on a busy computer wait for each other for longer than they
# compute: 67 ms instead of one.
_MIN_PRODUCTS_OF_THREADS = 50_000_000


@dataclass(frozen=True, slots=True)
class Hit:
    """A search result: a label and its most similar row.

    `similarity` is the raw cosine, `standardised` the similarity that `model.calibration` maps to a
    score, `text` the name or alias that the row was computed from.
    """

    name: str
    similarity: float
    standardised: float
    text: str


@dataclass(frozen=True, eq=False, repr=False)
class LabelIndex:
    """Labels and their prototypes; immutable, `upsert` and `remove` return a new index.

    A label's similarity is the maximum over its rows. Names keep their spelling; `label_key`
    decides whether two are the same label. `gone` (L,) bool marks the labels of `base` that were
    removed or replaced. `shortlist` covers the rows of `base`; `merged` builds one for more than
    `max_exact_rows` rows. `thresholds` maps label keys to minimum scores; `search` ignores them,
    `threshold_search` applies them.
    """

    base: LabelBlock
    delta: LabelBlock
    gone: Mask
    next_order: int
    shortlist: Shortlist | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    max_exact_rows: int = MAX_EXACT_ROWS

    @classmethod
    def build(cls, items: Iterable[tuple[str, Prototypes]], dim: int) -> Self:
        """Build an index of (name, prototypes) pairs; a later pair replaces one with the same key.

        The pairs are copied into arrays in batches: they need not all be in memory. Raises
        ValueError when a vector's length is not `dim`.
        """
        blocks: list[LabelBlock] = []
        first = 0
        pairs = iter(items)
        while labels := _by_key(islice(pairs, _BATCH)):
            blocks.append(LabelBlock.of(labels, range(first, first + len(labels)), dim))
            first += len(labels)
        if len(blocks) == 1:
            return cls.of(blocks[0], None)
        kept = _last_of_key(blocks)
        if not blocks:
            return cls.of(LabelBlock.empty(dim), None)
        if all(mask.all() for mask in kept):
            return cls.of(chained(blocks), None)
        return cls.of(join(list(zip(blocks, kept, strict=True))), None)

    @classmethod
    def of(cls, base: LabelBlock, shortlist: Shortlist | None) -> Self:
        """Build an index of one block."""
        base.prepare()
        next_order = int(base.orders[-1]) + 1 if len(base) else 0
        return cls(
            base, LabelBlock.empty(base.dim), np.zeros(len(base), np.bool_), next_order, shortlist
        )

    def upsert(self, items: Iterable[tuple[str, Prototypes]]) -> Self:
        """Return a new index with labels added, or replaced at their position in the order.

        A label that is replaced keeps its threshold.
        """
        labels = _by_key(items)
        if not labels:
            return self
        keys = [key for key, _, _ in labels]
        in_base, in_delta = self._find_in_base(keys), self.delta.find(keys)
        orders = self.next_order + np.arange(len(labels))
        orders[in_base >= 0] = self.base.orders[in_base[in_base >= 0]]
        orders[in_delta >= 0] = self.delta.orders[in_delta[in_delta >= 0]]
        ascending = np.argsort(orders)
        added = LabelBlock.of(
            [labels[at] for at in ascending], orders[ascending].tolist(), self.dim
        )
        kept = _all_but(in_delta, len(self.delta))
        delta = join([(self.delta, kept), (added, np.ones(len(added), np.bool_))])
        return replace(
            self,
            delta=delta,
            gone=self.gone | ~_all_but(in_base, len(self.base)),
            next_order=self.next_order + len(labels),
        )

    def _find_in_base(self, keys: Sequence[str]) -> Integers:
        found = self.base.find(keys)
        known = np.flatnonzero(found >= 0)
        found[known[self.gone[found[known]]]] = -1
        return found

    def remove(self, names: Iterable[str]) -> Self:
        """Return a new index without the given labels and their thresholds.

        Unknown names are ignored.
        """
        keys = {label_key(name): None for name in names}
        if not keys:
            return self
        gone = self.gone | ~_all_but(self.base.find([*keys]), len(self.base))
        kept = _all_but(self.delta.find([*keys]), len(self.delta))
        delta = self.delta if kept.all() else join([(self.delta, kept)])
        thresholds = self.thresholds
        if keys.keys() & thresholds.keys():
            thresholds = {key: at for key, at in thresholds.items() if key not in keys}
        return replace(self, delta=delta, gone=gone, thresholds=thresholds)

    def with_thresholds(self, thresholds: Mapping[str, float]) -> Self:
        """Return an index of the same labels with these thresholds by label key."""
        return replace(self, thresholds=thresholds)

    def threshold(self, name: str) -> float:
        """The minimum score of a label, 0 unless it has one of its own."""
        return self.thresholds.get(label_key(name), 0.0) if self.thresholds else 0.0

    def __len__(self) -> int:
        return len(self.base) + len(self.delta) - self._gone_count

    @property
    def dim(self) -> int:
        """Length of a prototype vector."""
        return self.base.dim

    @property
    def names(self) -> tuple[str, ...]:
        """Display names in insertion order."""
        present = np.flatnonzero(~self.gone)
        orders = np.concatenate([self.base.orders[present], self.delta.orders])
        names = [*map(self.base.names.__getitem__, present.tolist()), *self.delta.names]
        return tuple(map(names.__getitem__, np.argsort(orders).tolist()))

    def background_of(self, names: Sequence[str]) -> Floats | None:
        """Return level and spread, (N, 2), of labels with one row that were added one by one.

        None unless all are there and follow each other in the order of `names`, at least one.
        """
        key = [label_key(names[0])]
        for block, [first] in (
            (self.base, self._find_in_base(key)),
            (self.delta, self.delta.find(key)),
        ):
            if first >= 0 and block.names[first : first + len(names)] == (*names,):
                return block.background[block.starts[first : first + len(names)]]
        return None

    @property
    def needs_merge(self) -> bool:
        """Whether `merged` would make searches and writes faster."""
        rows = len(self.base.rows)
        changes = len(self.delta.rows) + self._gone_count
        needs_shortlist = (
            self.shortlist is None and rows + len(self.delta.rows) > self.max_exact_rows
        )
        return needs_shortlist or changes > max(_MIN_CHANGES, rows * _MIN_SHARE_OF_CHANGES)

    def merged(self, queries: Floats) -> Self:
        """Return an index of the same labels in one block. Takes seconds for a million labels.

        `queries` (N, dim) are typical embeddings of later searches; N may be 0.
        """
        base = self._one_block() if len(self.delta) or self._gone_count else self.base
        shortlist = None
        if len(base.rows) > self.max_exact_rows:
            shortlist = Shortlist.over(base.rows, _with_one(queries))
        merged = self.of(base, shortlist)
        return replace(merged, thresholds=self.thresholds, max_exact_rows=self.max_exact_rows)

    def _one_block(self) -> LabelBlock:
        return join([(self.base, ~self.gone), (self.delta, np.ones(len(self.delta), np.bool_))])

    def search(
        self,
        embeddings: Floats,
        top_k: int,
        among: Callable[[LabelBlock], Mask] | None = None,
    ) -> list[list[Hit]]:
        """Return the `top_k` labels nearest to each of (Q, dim) unit embeddings, best first.

        Labels with equal similarity are in the order in which they were added. Exact up to
        `max_exact_rows` rows; beyond, the shortlist may miss a label, and the similarities of found
        labels are exact. `among` selects labels of a block, (L,) bool: only these are compared,
        exactly, which is meant for a small share of them. Raises ValueError when the embeddings
        have another length.
        """
        if embeddings.shape[1:] != (self.dim,):
            raise ValueError(f"embeddings {embeddings.shape} are not (Q, {self.dim})")
        queries = _with_one(embeddings)
        if top_k < 1 or not len(queries):
            return [[] for _ in queries]
        if among is not None:
            return _hits(self._nearest_among(among, queries, top_k), top_k)
        found = [
            (self.base, *self._nearest_of_base(queries, top_k)),
            (self.delta, *_nearest(self.delta, queries, top_k, None)),
        ]
        return _hits(found, top_k)

    def _nearest_among(
        self, among: Callable[[LabelBlock], Mask], queries: Floats, top_k: int
    ) -> list[tuple[LabelBlock, Floats, Integers]]:
        left_out = [(self.base, ~among(self.base) | self.gone), (self.delta, ~among(self.delta))]
        return [
            (block, *_nearest(block, queries, top_k, labels[block.label_of_row]))
            for block, labels in left_out
        ]

    def _nearest_of_base(self, queries: Floats, top_k: int) -> tuple[Floats, Integers]:
        gone = self._gone_rows if self._gone_count else None
        if self.shortlist is not None and top_k <= _MAX_SHORTLISTED:
            depth = _depth(self.base, top_k)
            nearest = self.shortlist.nearest(queries, self.base.rows, depth, gone)
            if nearest is not None:
                return nearest
        return _nearest(self.base, queries, top_k, gone)

    @cached_property
    def _gone_count(self) -> int:
        # once: a search asks several times, and among millions of labels each takes 0.3 ms
        return int(np.count_nonzero(self.gone))

    @cached_property
    def _gone_rows(self) -> Mask:
        return self.gone[self.base.label_of_row]


def _hits(found: Sequence[tuple[LabelBlock, Floats, Integers]], top_k: int) -> list[list[Hit]]:
    """Reduce the rows found in each block, (Q, K) with their values, to the `top_k` best labels."""
    values = np.concatenate([of_block for _, of_block, _ in found], axis=1)
    rows = np.concatenate([at for _, _, at in found], axis=1)
    labels = [block.label_of_row[at] for block, _, at in found]
    orders = np.concatenate(
        [block.orders[at] for (block, _, _), at in zip(found, labels, strict=True)], axis=1
    )
    background = np.concatenate([block.background[at] for block, _, at in found], axis=1)
    best = np.lexsort((rows, orders, -values), axis=-1)
    # for all queries at once: numpy needs longer for each of ten short arrays than for one long one
    columns = [
        np.take_along_axis(each, best, axis=1).tolist()
        for each in (
            orders,
            rows,
            values,
            background[..., 0],
            background[..., 1],
            np.concatenate(labels, axis=1),
            np.concatenate([np.full(at.shape, n) for n, (_, _, at) in enumerate(found)], axis=1),
        )
    ]
    return [
        _hits_of_one(zip(*query, strict=True), [block for block, _, _ in found], top_k)
        for query in zip(*columns, strict=True)
    ]


def _hits_of_one(
    found: Iterable[tuple[int, int, float, float, float, int, int]],
    blocks: Sequence[LabelBlock],
    top_k: int,
) -> list[Hit]:
    """Make the hits of tuples that are sorted, best first.

    A tuple is order, row, value, level and spread of the row's background, label, and block.
    """
    hits: dict[int, Hit] = {}
    for order, row, value, level, spread, label, number in found:
        # FAISS returns row -1 where there is no result, as for an embedding with NaN
        if row < 0 or order in hits:
            continue
        block = blocks[number]
        hits[order] = Hit(block.names[label], value * spread + level, value, block.texts[row])
        if len(hits) == top_k:
            break
    return list(hits.values())


def _by_key(items: Iterable[tuple[str, Prototypes]]) -> list[tuple[str, str, Prototypes]]:
    by_key = {label_key(name): (name, prototypes) for name, prototypes in items}
    return [(key, name, prototypes) for key, (name, prototypes) in by_key.items()]


def _last_of_key(blocks: Sequence[LabelBlock]) -> list[Mask]:
    """Mark each block's labels except those whose key occurs again in a later block."""
    masks = [np.ones(len(block), np.bool_) for block in blocks]
    hashes = np.concatenate([block.key_hashes for block in blocks] or [np.empty(0, np.uint64)])
    if len(np.unique(hashes)) < len(hashes):
        seen: set[str] = set()
        for block, mask in zip(reversed(blocks), reversed(masks), strict=True):
            keys = [label_key(name) for name in block.names]
            mask[:] = [key not in seen for key in keys]
            seen.update(keys)
    return masks


def _all_but(positions: Integers, length: int) -> Mask:
    mask = np.ones(length, np.bool_)
    mask[positions[positions >= 0]] = False
    return mask


def _depth(block: LabelBlock, top_k: int) -> int:
    # the rows of top_k - 1 labels, and one row more, contain at least top_k labels
    return min(len(block.rows), (top_k - 1) * block.max_rows + 1)


def _with_one(embeddings: Floats) -> Floats:
    """Append a 1 to (Q, dim) embeddings, which is multiplied by the rows' -level / spread."""
    return np.concatenate([embeddings, np.ones((len(embeddings), 1), np.float32)], axis=1)


def _nearest(
    block: LabelBlock, queries: Floats, top_k: int, gone: Mask | None
) -> tuple[Floats, Integers]:
    """Return inner products and positions of the best rows of each query; compares all rows."""
    shape = (len(queries), _depth(block, top_k))
    values, rows = np.empty(shape, np.float32), np.full(shape, -1, np.int64)
    if not shape[1]:
        return values, rows
    selector = None
    if gone is not None:
        present = np.packbits(~gone, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(present), faiss.swig_ptr(present))
    with _one_thread_if(len(queries) * block.rows.size < _MIN_PRODUCTS_OF_THREADS):
        faiss.knn_inner_product(  # type: ignore[call-arg]  # its types lack the selector
            *(faiss.swig_ptr(matrix) for matrix in (queries, block.rows)),
            block.rows.shape[1],
            len(queries),
            len(block.rows),
            shape[1],
            faiss.swig_ptr(values),
            faiss.swig_ptr(rows),
            selector,
        )
    return values, rows


@contextmanager
def _one_thread_if(is_small: bool) -> Generator[None]:
    """Let FAISS use one thread for the calling thread's work in the block, if it is small."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1 if is_small else threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
