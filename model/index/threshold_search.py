"""Search among labels of which some have a threshold of their own."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from model.index.label_index import Hit, LabelIndex

# Labels searched for beyond those asked for, where some may be below their threshold: a second
# search costs more.
_SPARE = 16

Score = Callable[[float], float]


def search_above_thresholds(
    index: LabelIndex,
    embeddings: npt.NDArray[np.float32],
    top_k: int,
    *,
    min_score: float,
    score: Score,
) -> list[list[Hit]]:
    """Hits for each of (Q, dim) unit embeddings, best first, deep enough to hold `top_k` results.

    A result reaches its label's threshold. Labels below theirs are hits too and make room for the
    next ones; the search doubles its depth until there are `top_k` results, no label left, or none
    that could reach `min_score`. `score` maps a standardised similarity to a probability and must
    not fall.
    """
    depth = top_k + min(len(index.thresholds), _SPARE)
    # one search for all embeddings, which mostly is enough
    found = index.search(embeddings, min(depth, len(index)))
    if not index.thresholds:
        return found
    return [
        _deepened(index, hits, depth, row, top_k, min_score, score)
        for hits, row in zip(found, embeddings[:, np.newaxis], strict=True)
    ]


def drop_below_thresholds(
    index: LabelIndex, hits: Sequence[Hit], top_k: int, score: Score
) -> list[Hit]:
    """The first `top_k` hits, and of the others those that reach their label's threshold."""
    return [
        *hits[:top_k],
        *(h for h in hits[top_k:] if score(h.standardised) >= index.threshold(h.name)),
    ]


def _deepened(
    index: LabelIndex,
    hits: list[Hit],
    depth: int,
    embedding: npt.NDArray[np.float32],
    top_k: int,
    min_score: float,
    score: Score,
) -> list[Hit]:
    """The hits of a search of this depth, or those of a deeper one where results are missing."""
    lowest_useful: float | None = None
    while depth < len(index):
        # nothing is near an embedding of NaN
        if not hits or _count_results(index, hits, score) >= top_k:
            return hits
        if lowest_useful is None:
            lowest_useful = max(min_score, _lowest_threshold(index))
        if score(hits[-1].standardised) < lowest_useful:
            return hits
        depth *= 2
        hits = index.search(embedding, min(depth, len(index)))[0]
    return hits


def _count_results(index: LabelIndex, hits: Sequence[Hit], score: Score) -> int:
    return sum(score(hit.standardised) >= index.threshold(hit.name) for hit in hits)


def _lowest_threshold(index: LabelIndex) -> float:
    if len(index.thresholds) < len(index):
        return 0.0
    return min(index.thresholds.values(), default=0.0)
