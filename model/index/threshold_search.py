"""Search deep enough that `top_k` results remain without labels below their own threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from model.calibration import RIVALS, Calibration, ScoreScale
from model.index.label_index import Hit, LabelIndex

# Hits requested beyond `top_k` where labels have thresholds: this costs less than a second search.
_SPARE = 16


@dataclass(frozen=True, slots=True)
class ScoredHits:
    """The hits of one embedding, best first, and the scale of its scores."""

    hits: Sequence[Hit]
    scale: ScoreScale

    def score(self, hit: Hit) -> float:
        """Return the hit's score, 0 to 1."""
        return self.scale.score(hit.standardised)


def search_above_thresholds(
    index: LabelIndex,
    embeddings: npt.NDArray[np.float32],
    top_k: int,
    *,
    min_score: float,
    calibration: Calibration,
) -> list[ScoredHits]:
    """Search until `top_k` hits of each embedding reach their label's own threshold.

    `embeddings` is (Q, dim) float32 unit. Returns the hits of each, best first, including those
    below their threshold; `select_tags` drops these. A search with too few hits that reach theirs
    is repeated with twice the depth, while a further label may reach `min_score` and its threshold.
    At least `RIVALS` labels are searched, so that scores do not depend on `top_k`. Raises
    ValueError when the embeddings have another length.
    """
    depth = max(top_k, RIVALS) + min(len(index.thresholds), _SPARE)
    # One search for all embeddings; few need a deeper one.
    found = index.search(embeddings, min(depth, len(index)))
    none_weights = calibration.none_weights(embeddings).tolist()
    answer = []
    for row, (hits, none) in enumerate(zip(found, none_weights, strict=True)):
        best = [hit.standardised for hit in hits[:RIVALS]]
        scale = calibration.scale(best, none, len(index))
        scored = ScoredHits(hits if index.thresholds else hits[:top_k], scale)
        if index.thresholds:
            embedding = embeddings[row : row + 1]
            scored = _deepened(index, scored, depth, embedding, top_k, min_score)
        answer.append(scored)
    return answer


def drop_below_thresholds(index: LabelIndex, found: ScoredHits, top_k: int) -> ScoredHits:
    """Keep the first `top_k` hits, and further ones until `top_k` reach their label's threshold.

    Further hits that are below it are dropped.
    """
    first, rest = found.hits[:top_k], found.hits[top_k:]
    missing = top_k - _count_results(index, first, found.scale)
    passing = (hit for hit in rest if _is_result(index, hit, found.scale))
    return ScoredHits([*first, *islice(passing, missing)], found.scale)


def _deepened(
    index: LabelIndex,
    found: ScoredHits,
    depth: int,
    embedding: npt.NDArray[np.float32],
    top_k: int,
    min_score: float,
) -> ScoredHits:
    """Repeat a search for one embedding, (1, dim), with twice the depth until it is deep enough.

    `found` are the hits of the search with `depth`.
    """
    lowest_useful: float | None = None
    while depth < len(index):
        # An embedding that contains NaN has no hits.
        if not found.hits or _count_results(index, found.hits, found.scale) >= top_k:
            return found
        if lowest_useful is None:
            lowest_useful = max(min_score, _lowest_threshold(index))
        if found.score(found.hits[-1]) < lowest_useful:
            return found
        depth *= 2
        found = ScoredHits(index.search(embedding, min(depth, len(index)))[0], found.scale)
    return found


def _count_results(index: LabelIndex, hits: Sequence[Hit], scale: ScoreScale) -> int:
    return sum(_is_result(index, hit, scale) for hit in hits)


def _is_result(index: LabelIndex, hit: Hit, scale: ScoreScale) -> bool:
    return scale.score(hit.standardised) >= index.threshold(hit.name)


def _lowest_threshold(index: LabelIndex) -> float:
    if len(index.thresholds) < len(index):
        return 0.0
    return min(index.thresholds.values(), default=0.0)
