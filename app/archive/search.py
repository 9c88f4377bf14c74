"""Finds the spans of kept videos that show a text or a clip."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from app.archive.window_index import WindowIndex, read_name
from app.question import Analysis
from app.store.analyses import AnalysisStore, KeptVideo, VideoFilter
from model import LabelIndex, Prototypes, TaggedSegments, Tagger, Unknown

# Windows that the first search returns; each further one returns four times as many.
_FIRST_DEPTH = 256
# Videos whose spans are computed together.
_VIDEOS_PER_STEP = 16
# The index and a video's own windows give similarities that differ in the last digits.
_MARGIN = 1e-6


@dataclass(frozen=True, slots=True, order=True)
class SpanKey:
    """The place of a span in the order of results: by score, then newest video, then time."""

    descending_score: float
    descending_id: int
    start_seconds: float


@dataclass(frozen=True, slots=True)
class FoundSpan:
    """A span of a kept video, in seconds, with the score of the query on it."""

    kept: KeptVideo
    start_seconds: float
    end_seconds: float
    score: float
    similarity: float

    @property
    def key(self) -> SpanKey:
        """The span's place in the order of results."""
        return SpanKey(-self.score, -self.kept.id, self.start_seconds)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of spans, whether there are more, and whether nothing fits the query.

    `videos` is the number of kept videos that were searched.
    """

    spans: tuple[FoundSpan, ...]
    has_more: bool
    unknown: Unknown
    videos: int


@dataclass(frozen=True, slots=True)
class SpanQuery:
    """What to find: `prototypes` of one text or clip, in which videos, from which score on."""

    prototypes: Prototypes
    wanted: VideoFilter = field(default_factory=VideoFilter)
    min_score: float = 0.0
    limit: int = 10
    after: SpanKey | None = None


class ArchiveSearch:
    """Searches kept videos; methods block on the database and are thread-safe."""

    def __init__(self, index: WindowIndex, store: AnalysisStore, tagger: Tagger) -> None:
        self._index = index
        self._store = store
        self._tagger = tagger

    def find(self, query: SpanQuery) -> Found:
        """Return up to `limit` spans in the order of their keys, after the key `after`.

        Windows of a video that follow each other are merged as segments are. Raises
        StoreUnavailable.
        """
        indexed = self._index.get()
        allowed = None
        if not query.wanted.selects_all:
            allowed = self._store.matching(self._tagger.video_space, query.wanted)
        videos = indexed.videos if allowed is None else len(allowed)
        ranked = _RankedVideos(indexed.index, query.prototypes, allowed)
        name = query.prototypes.texts[0]
        words = LabelIndex.build([(name, query.prototypes)], self._tagger.encoder.dim)
        spans: list[FoundSpan] = []
        unknown = Unknown(1.0, True)
        while True:
            ids = ranked.next_videos()
            for kept, analysis in self._read(ids):
                tagged = self._tag(analysis, words, query.min_score)
                spans += _spans_of(kept, tagged)
                unknown = min(unknown, tagged.unknown, key=lambda each: each.score)
            bound = self._score(query, ranked.next_similarity)
            # spans of the videos that are left have at most this score
            page = sorted(
                (each for each in spans if each.score > bound + _MARGIN and _is_after(each, query)),
                key=lambda each: each.key,
            )
            if not ids or len(page) > query.limit or bound < query.min_score:
                break
        return Found(
            tuple(page[: query.limit]),
            len(page) > query.limit,
            replace(unknown, duration_ratio=None),
            videos,
        )

    def _read(self, ids: Sequence[int]) -> Iterator[tuple[KeptVideo, Analysis]]:
        found = self._store.by_id(ids)
        # one that is missing was deleted after the index was read
        return (found[each] for each in ids if each in found)

    def _tag(self, analysis: Analysis, words: LabelIndex, min_score: float) -> TaggedSegments:
        tagging = self._tagger.segment_tagging(
            analysis.video, analysis.windows.plan, words, top_k=1, min_score=min_score
        )
        tagging.add(analysis.windows.embeddings)
        return tagging.finish()

    def _score(self, query: SpanQuery, similarity: float | None) -> float:
        """Return the highest score that a window of this similarity has; -1 for None."""
        if similarity is None:
            return -1.0
        standardised = _standardised(query.prototypes, similarity)
        scale = self._tagger.calibration.scale([standardised], self._least_none)
        return scale.score(standardised)

    @cached_property
    def _least_none(self) -> float:
        """The least weight of "none of the labels" of any video: that of the checkpoint's bank."""
        return float(
            min(self._tagger.calibration.none_weights(self._tagger.typical_videos), default=1)
        )


def _spans_of(kept: KeptVideo, tagged: TaggedSegments) -> Iterator[FoundSpan]:
    for segment in tagged.segments:
        [tag] = segment.tags
        yield FoundSpan(kept, segment.start_seconds, segment.end_seconds, tag.score, tag.similarity)


class _RankedVideos:
    """The videos of an index by their most similar window, best first, a few at a time.

    `next_similarity` bounds that of the windows of videos that were not returned yet; it is None
    when all were.
    """

    def __init__(
        self, index: LabelIndex, prototypes: Prototypes, allowed: frozenset[int] | None
    ) -> None:
        self._index = index
        self._vector = np.ascontiguousarray(prototypes.vectors[:1], np.float32)
        self._allowed = allowed
        self._depth = _FIRST_DEPTH
        self._returned: set[int] = set()
        self._waiting: dict[int, float] = {}
        self._deepest: float | None = None
        self._search()

    @property
    def next_similarity(self) -> float | None:
        return next(iter(self._waiting.values()), self._deepest)

    def next_videos(self) -> list[int]:
        """Return the ids of the next videos; empty when there are no more."""
        while not self._waiting and self._deepest is not None:
            self._depth *= 4
            self._search()
        ids = list(self._waiting)[:_VIDEOS_PER_STEP]
        for each in ids:
            del self._waiting[each]
        self._returned.update(ids)
        return ids

    def _search(self) -> None:
        depth = min(self._depth, len(self._index))
        [hits] = self._index.search(self._vector, depth)
        # the index may hold windows that are less similar than these
        self._deepest = hits[-1].similarity if hits and depth < len(self._index) else None
        for hit in hits:
            video = read_name(hit.name)
            is_allowed = self._allowed is None or video in self._allowed
            if is_allowed and video not in self._returned:
                self._waiting.setdefault(video, hit.similarity)


def _standardised(prototypes: Prototypes, similarity: float) -> float:
    level, spread = prototypes.background[0].tolist()
    return float((similarity - level) / spread)


def _is_after(span: FoundSpan, query: SpanQuery) -> bool:
    return query.after is None or span.key > query.after
