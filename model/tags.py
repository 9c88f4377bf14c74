"""Convert the hits of a search to tags, and estimate whether none of the labels applies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from model.calibration import Calibration
from model.index.label_index import Hit, LabelIndex


@dataclass(frozen=True, slots=True)
class Tag:
    """A label with its score on a video or a span of it.

    `score` is a calibrated probability 0..1, `similarity` a raw cosine, `rank` counts from 1.
    `prompt` is the label's name or alias with the highest similarity. `duration_ratio` is the share
    0..1 of the video that the label's segments cover; it is set in `TaggedSegments.tags` only.
    """

    label: str
    score: float
    similarity: float
    rank: int
    prompt: str
    duration_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Whether none of the labels applies.

    `score` is the probability 0..1; `is_unknown` is true above the checkpoint's `unknown_limit`.
    """

    score: float
    is_unknown: bool


def tags_of(hits: Sequence[Hit], calibration: Calibration) -> tuple[Tag, ...]:
    """Convert the hits of one search, best first, to tags with ranks from 1."""
    return tuple(
        Tag(hit.name, calibration.score(hit.standardised), hit.similarity, rank, hit.text)
        for rank, hit in enumerate(hits, start=1)
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


def unknown_of(hits: Sequence[Hit], labels: int, calibration: Calibration) -> Unknown:
    """Estimate from the hits of one search, best first, whether none of the labels applies.

    `labels` is the number of labels in the index. The probability is 1 without hits.
    """
    if not hits:
        return Unknown(1.0, True)
    score = calibration.unknown_score(hits[0].standardised, labels)
    return Unknown(score, score > calibration.config.unknown_limit)
