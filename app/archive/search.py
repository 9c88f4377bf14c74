"""Finds the spans of kept videos that show a text or a clip."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt

from app.archive.spans import RankedVideos, SpanKey, SpanSearch, Wanted
from app.archive.window_index import WindowIndex, read_name
from app.store.analyses import AnalysisStore, KeptVideo, VideoFilter
from model import LabelBlock, LabelIndex, Prototypes, RankedWindows, Tagger, Unknown

# Windows that the first search returns; each further one returns four times as many.
FIRST_DEPTH = 256
# Up to this number, all videos that a filter selects are read. In the index, their windows may be
# behind millions of others.
_MAX_READ = 200
# Up to this share of the videos, only the windows of those that a filter selects are compared.
_MAX_SHARE = 1 / 8


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
        self._spans = SpanSearch(tagger)

    def find(self, query: SpanQuery) -> Found:
        """Return up to `limit` spans in the order of their keys, after the key `after`.

        Windows of a video that follow each other are merged as segments are. Raises
        StoreUnavailable.
        """
        indexed = self._index.get()
        allowed = None
        if not query.wanted.selects_all:
            allowed = self._store.matching(self._tagger.video_space, query.wanted)
        kept: dict[int, KeptVideo] = {}

        def read(ids: Sequence[int]) -> Iterator[tuple[int, RankedWindows]]:
            found = self._store.by_id(ids)
            for each in ids:
                # one that is missing was deleted after the index was read
                if each in found:
                    kept[each], analysis = found[each]
                    windows, embeddings = analysis.windows.plan.windows, analysis.windows.embeddings
                    background = self._index.background(indexed, each, embeddings)
                    yield each, RankedWindows(windows, embeddings, background)

        ranked: RankedVideos
        if allowed is not None and len(allowed) <= _MAX_READ:
            ranked = _UnrankedVideos(allowed)
        else:
            among = None
            if allowed is not None and len(allowed) <= _MAX_SHARE * indexed.videos:
                among = partial(self._index.windows_of, np.array([*allowed], np.int64))
            vector = self._spans.query(query.prototypes).vector
            ranked = _RankedVideos(indexed.index, vector, allowed, among)
        videos = indexed.videos if allowed is None else len(allowed)
        wanted = Wanted(query.prototypes, videos, query.min_score, query.limit, query.after)
        page = self._spans.find(wanted, ranked, read)
        spans = [
            FoundSpan(
                kept[each.id], each.start_seconds, each.end_seconds, each.score, each.similarity
            )
            for each in page.spans
        ]
        return Found(tuple(spans), page.has_more, page.unknown, videos)


class _UnrankedVideos:
    """RankedVideos without an order: the best window may be in any of them."""

    def __init__(self, ids: Iterable[int]) -> None:
        self._ids = sorted(ids)

    @property
    def next_value(self) -> float | None:
        return math.inf if self._ids else None

    def next_videos(self, limit: int) -> list[int]:
        """Return the ids of up to `limit` videos; empty when there are no more."""
        ids, self._ids = self._ids[:limit], self._ids[limit:]
        return ids


class _RankedVideos:
    """The RankedVideos of an index; of `allowed` ids only, if they are given.

    `among` marks their windows in a block, if only these are to be compared.
    """

    def __init__(
        self,
        index: LabelIndex,
        vector: npt.NDArray[np.float32],
        allowed: frozenset[int] | None,
        among: Callable[[LabelBlock], npt.NDArray[np.bool_]] | None,
    ) -> None:
        self._index = index
        self._vector = vector[np.newaxis]
        self._allowed = allowed
        self._among = among
        self._depth = FIRST_DEPTH
        self._returned: set[int] = set()
        self._waiting: dict[int, float] = {}
        self._deepest: float | None = None
        self._search()

    @property
    def next_value(self) -> float | None:
        return next(iter(self._waiting.values()), self._deepest)

    def next_videos(self, limit: int) -> list[int]:
        """Return the ids of up to `limit` next videos; empty when there are no more."""
        while not self._waiting and self._deepest is not None:
            self._depth *= 4
            self._search()
        ids = list(islice(self._waiting, limit))
        for each in ids:
            del self._waiting[each]
        self._returned.update(ids)
        return ids

    def _search(self) -> None:
        depth = min(self._depth, len(self._index))
        [hits] = self._index.search(self._vector, depth, self._among)
        # the index may hold windows below these
        has_more = depth < len(self._index) and (self._among is None or len(hits) == depth)
        self._deepest = hits[-1].standardised if hits and has_more else None
        for hit in hits:
            video = read_name(hit.name)
            is_allowed = self._allowed is None or video in self._allowed
            if is_allowed and video not in self._returned:
                self._waiting.setdefault(video, hit.standardised)
