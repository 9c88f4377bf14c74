"""Hits of a search as tags: calibrated scores, ranks, thresholds, and "none of these"."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from model.calibration import Calibration
from model.index.label_index import Hit, LabelIndex


@dataclass(frozen=True, slots=True)
class Tag:
    """A label given to a video or a span of it.

    `score` is a calibrated probability 0..1, `similarity` a raw cosine, `rank` counts from 1 and
    `prompt` is the label's text that fitted best. `duration_ratio` is the share 0..1 of the video
    that the label's segments cover; None unless segments were asked for.
    """

    label: str
    score: float
    similarity: float
    rank: int
    prompt: str
    duration_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Probability 0..1 that none of the labels applies, and whether it exceeds the limit."""

    score: float
    is_unknown: bool


def tags_of(hits: Sequence[Hit], calibration: Calibration) -> tuple[Tag, ...]:
    """The hits of one search as tags, ranked in their order."""
    return tuple(
        Tag(hit.name, calibration.score(hit.standardised), hit.similarity, rank, hit.text)
        for rank, hit in enumerate(hits, start=1)
    )


def select_tags(
    tags: Sequence[Tag], index: LabelIndex, *, top_k: int, min_score: float
) -> tuple[Tag, ...]:
    """The first `top_k` tags that reach `min_score` and their label's threshold, ranked anew."""
    selected = [tag for tag in tags if tag.score >= max(min_score, index.threshold(tag.label))]
    return tuple(
        tag if tag.rank == rank else replace(tag, rank=rank)
        for rank, tag in enumerate(selected[:top_k], start=1)
    )


def unknown_of(hits: Sequence[Hit], labels: int, calibration: Calibration) -> Unknown:
    """Whether none of the `labels` searched labels applies; certain where there were no hits."""
    if not hits:
        return Unknown(1.0, True)
    score = calibration.unknown_score(hits[0].standardised, labels)
    return Unknown(score, score > calibration.config.unknown_limit)
