"""Search deep enough that `top_k` results remain without labels below their own threshold."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from model.index.label_index import Hit, LabelIndex

# Hits requested beyond `top_k` where labels have thresholds: this costs less than a second search.
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
    """Search until `top_k` hits of each embedding reach their label's own threshold.

    `embeddings` is (Q, dim) float32 unit. Returns the hits of each, best first, including those
    below their threshold; `select_tags` drops these. A search with too few hits that reach theirs
    is repeated with twice the depth, while a further label may reach `min_score` and its threshold.
    `score` maps a standardised similarity to a score 0..1 and must be non-decreasing. Raises
    ValueError when the embeddings have another length.
    """
    depth = top_k + min(len(index.thresholds), _SPARE)
    # One search for all embeddings; few need a deeper one.
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
    """Drop the hits after the first `top_k` that are below their label's threshold."""
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
    """Repeat a search for one embedding, (1, dim), with twice the depth until it is deep enough.

    `hits` are those of the search with `depth`.
    """
    lowest_useful: float | None = None
    while depth < len(index):
        # An embedding that contains NaN has no hits.
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
