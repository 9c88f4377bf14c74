"""Finds the best spans of time in videos that are ranked by their best window."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.question import Analysis
from model import (
    LabelIndex,
    Prototypes,
    TaggedSegments,
    Tagger,
    Unknown,
    VideoQuery,
    VideoRanking,
)

# An index and a video's own windows give values that differ in the last digits of float32.
_MARGIN = 1e-4


class RankedVideos(Protocol):
    """Videos by the value of their best window (`model.VideoRanking`), best first, a few at a time.

    `next_value` bounds that of the windows of videos that were not returned yet; it is None when
    all were.
    """

    @property
    def next_value(self) -> float | None: ...

    def next_videos(self) -> list[int]:
        """Return the ids of the next videos; empty when there are no more."""


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
        read: Callable[[Sequence[int]], Iterable[tuple[int, Analysis]]],
    ) -> Spans:
        """Return up to `limit` spans in the order of their keys, after the key `after`.

        Windows of a video that follow each other are merged as segments are. `read` returns the
        analyses of some ids, without those that are gone.
        """
        name = wanted.prototypes.texts[0]
        words = LabelIndex.build([(name, wanted.prototypes)], self._tagger.encoder.dim)
        query = self.query(wanted.prototypes)
        spans: list[Span] = []
        lowest = 1.0
        while True:
            ids = ranked.next_videos()
            for video_id, analysis in read(ids):
                tagged = self._tag(analysis, words, wanted.min_score)
                spans += _spans_of(video_id, tagged)
                lowest = min(lowest, tagged.unknown.score)
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

    def _tag(self, analysis: Analysis, words: LabelIndex, min_score: float) -> TaggedSegments:
        tagging = self._tagger.segment_tagging(
            analysis.video, analysis.windows.plan, words, top_k=1, min_score=min_score
        )
        tagging.add(analysis.windows.embeddings)
        return tagging.finish()


def _spans_of(video_id: int, tagged: TaggedSegments) -> Iterator[Span]:
    for segment in tagged.segments:
        [tag] = segment.tags
        yield Span(video_id, segment.start_seconds, segment.end_seconds, tag.score, tag.similarity)


def _bound(query: VideoQuery, value: float | None) -> float:
    """Return the maximum score of windows up to this value; -1 for None."""
    return -1.0 if value is None else query.score(value + _MARGIN)


def _is_after(span: Span, wanted: Wanted) -> bool:
    return wanted.after is None or span.key > wanted.after
