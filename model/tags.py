"""Convert the hits of a search to tags, and estimate whether none of the labels applies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from model.index.label_index import LabelIndex
from model.index.threshold_search import ScoredHits

Likelihood = Literal["likely", "possible", "unsure"]

# The minimum scores of the words for people: `likely`, and `possible`. Below both is `unsure`.
LIKELY_SCORE = 0.6
POSSIBLE_SCORE = 0.3


def likelihood(score: float) -> Likelihood:
    """Return the word for a score, 0 to 1, that people are shown."""
    if score >= LIKELY_SCORE:
        return "likely"
    return "possible" if score >= POSSIBLE_SCORE else "unsure"


@dataclass(frozen=True, slots=True)
class Tag:
    """A label with its score on a video or a span of it.

    `score` is the probability 0..1 that a viewer would agree, `similarity` a raw cosine, `rank`
    counts from 1. `prompt` is the label's name or alias with the highest similarity.
    `duration_ratio` is the share 0..1 of the video that the label's segments cover; it is set in
    `TaggedSegments.tags` only.
    """

    label: str
    score: float
    similarity: float
    rank: int
    prompt: str
    duration_ratio: float | None = None

    @property
    def likelihood(self) -> Likelihood:
        """The word for the score."""
        return likelihood(self.score)


@dataclass(frozen=True, slots=True)
class Unknown:
    """Whether none of the labels applies.

    `score` is the probability 0..1 that a viewer would agree with none of the labels; `is_unknown`
    is true above the checkpoint's `unknown_limit`. `duration_ratio` is the share 0..1 of a video's
    windows that are unknown; it is set in `TaggedSegments.unknown` only.
    """

    score: float
    is_unknown: bool
    duration_ratio: float | None = None


def tags_of(found: ScoredHits) -> tuple[Tag, ...]:
    """Convert the hits of one search, best first, to tags with ranks from 1."""
    return tuple(
        Tag(hit.name, found.score(hit), hit.similarity, rank, hit.text)
        for rank, hit in enumerate(found.hits, start=1)
    )


def select_tags(
    tags: Sequence[Tag], index: LabelIndex, *, top_k: int, min_score: float
) -> tuple[Tag, ...]:
    """Select the first `top_k` tags that reach `min_score` and their label's own threshold.

    The selected tags have new ranks, from 1.
    """
    selected = [tag for tag in tags if tag.score >= max(min_score, index.threshold(tag.label))]
    return tuple(
        tag if tag.rank == rank else replace(tag, rank=rank)
        for rank, tag in enumerate(selected[:top_k], start=1)
    )


def unknown_of(found: ScoredHits) -> Unknown:
    """Estimate from the hits of one search whether none of the labels applies.

    The probability is 1 without hits.
    """
    if not found.hits:
        return Unknown(1.0, True)
    score = found.scale.unknown
    return Unknown(score, score > found.scale.config.unknown_limit)
