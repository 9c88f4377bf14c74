"""Finds the best spans of time in videos that are ranked by their best window."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from model import (
    LabelSpans,
    Prototypes,
    RankedWindows,
    Tagger,
    Unknown,
    VideoQuery,
    VideoRanking,
    label_spans,
)

# An index and a video's own windows give values that differ in the last digits of float32.
_MARGIN = 1e-4


class RankedVideos(Protocol):
    """Videos by the value of their best window (`model.VideoRanking`), best first.

    `next_value` bounds that of the windows of videos that were not returned yet, infinity where
    they have no order; it is None when all were returned.
    """

    @property
    def next_value(self) -> float | None: ...

    def next_videos(self, limit: int) -> list[int]:
        """Return the ids of up to `limit` next videos; empty when there are no more."""


@dataclass(frozen=True, slots=True, order=True)
class SpanKey:
    """The place of a span in the order of results: by score, then newest video, then time."""

    descending_score: float
    descending_id: int
    start_seconds: float


@dataclass(frozen=True, slots=True)
class Span:
    """A span of the video with this id, in seconds, with the score of the query on it."""

    id: int
    start_seconds: float
    end_seconds: float
    score: float
    similarity: float

    @property
    def key(self) -> SpanKey:
        """The span's place in the order of results."""
        return SpanKey(-self.score, -self.id, self.start_seconds)


@dataclass(frozen=True, slots=True)
class Spans:
    """A page of spans, whether there are more, and whether nothing fits the query."""

    spans: tuple[Span, ...]
    has_more: bool
    unknown: Unknown


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to find: `prototypes` of one text or clip, and which page of the spans.

    `videos` is the number of videos that are searched.
    """

    prototypes: Prototypes
    videos: int
    min_score: float = 0.0
    limit: int = 10
    after: SpanKey | None = None


class SpanSearch:
    """Searches with one checkpoint; thread-safe."""

    def __init__(self, tagger: Tagger) -> None:
        self._tagger = tagger
        self._ranking = VideoRanking(tagger.calibration)

    def query(self, prototypes: Prototypes) -> VideoQuery:
        """Return what videos are ranked for, to search for the first of these vectors."""
        level, spread = prototypes.background[0].tolist()
        return self._ranking.query(prototypes.vectors[0], level, spread)

    def find(
        self,
        wanted: Wanted,
        ranked: RankedVideos,
        read: Callable[[Sequence[int]], Iterable[tuple[int, RankedWindows]]],
    ) -> Spans:
        """Return up to `limit` spans in the order of their keys, after the key `after`.

        Windows of a video that follow each other are merged as segments are. `read` returns the
        windows of some videos by id, without those that are gone.
        """
        query, calibration = self.query(wanted.prototypes), self._tagger.calibration
        spans: list[Span] = []
        lowest = 1.0
        while True:
            # each of them has a span, unless all its scores are too low
            ids = ranked.next_videos(wanted.limit + 1)
            for video_id, windows in read(ids):
                found = label_spans(
                    wanted.prototypes, calibration, windows, min_score=wanted.min_score
                )
                spans += _spans_of(video_id, found)
                lowest = min(lowest, found.unknown)
            bound = _bound(query, ranked.next_value)
            # spans of the videos that are left have at most this score
            page = sorted(
                (each for each in spans if each.score > bound and _is_after(each, wanted)),
                key=lambda each: each.key,
            )
            if not ids or len(page) > wanted.limit or bound < wanted.min_score:
                break
        return Spans(
            tuple(page[: wanted.limit]),
            len(page) > wanted.limit,
            self._unknown(lowest, wanted.videos),
        )

    def _unknown(self, lowest: float, videos: int) -> Unknown:
        calibration = self._tagger.calibration
        score = calibration.unknown_among(lowest, videos)
        return Unknown(score, score > calibration.config.unknown_limit)


def _spans_of(video_id: int, found: LabelSpans) -> Iterator[Span]:
    for each in found.spans:
        yield Span(video_id, each.start_seconds, each.end_seconds, each.score, each.similarity)


def _bound(query: VideoQuery, value: float | None) -> float:
    """Return the maximum score of windows up to this value; -1 for None."""
    if value is None:
        return -1.0
    return 1.0 if value == math.inf else query.score(value + _MARGIN)


def _is_after(span: Span, wanted: Wanted) -> bool:
    return wanted.after is None or span.key > wanted.after
