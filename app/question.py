"""What is asked about a video, and what is answered."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from app.timeline import Segment
from model import Hit, LabelIndex, Tag, Unknown, VideoInfo, label_key

DecodeMode: TypeAlias = Literal["auto", "exact", "keyframes"]

# Labels looked for besides those asked, where some may be under a threshold of their own: a
# second search costs more.
_SPARE = 16
# One search for so few hits among so few rows takes less than handing it to a thread and back.
_FEW_ROWS = 2_000
_FEW_HITS = 100


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `labels` ad hoc, or all of `label_set`; times in seconds.

    `timeout_seconds` shortens the service's own deadline for this one request;
    `decode` is how its frames are chosen; `min_revision` is the least of the label set.
    """

    label_set: str
    labels: tuple[str, ...]
    top_k: int
    min_score: float
    granularity: Literal["video", "segments"]
    window_seconds: float
    stride_seconds: float
    timeout_seconds: float | None = None
    decode: DecodeMode = "auto"
    min_revision: int = 0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The labels that one question is asked against; `name` is None for ad hoc labels."""

    name: str | None
    revision: int
    index: LabelIndex
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def allows(self, tag: Tag, min_score: float) -> bool:
        """Whether the tag's score reaches `min_score` and its label's own threshold."""
        return tag.score >= max(min_score, self._threshold(tag.label))

    def is_searched_at_once(self, top_k: int) -> bool:
        """Whether `search` takes so little that it is not worth a thread."""
        rows = len(self.index.base.rows) + len(self.index.delta.rows)
        return not self.thresholds and top_k <= _FEW_HITS and rows <= _FEW_ROWS

    def search(
        self,
        embedding: npt.NDArray[np.float32],
        top_k: int,
        min_score: float,
        score: Callable[[float], float],
    ) -> list[Hit]:
        """The labels nearest to a (1, dim) embedding, best first: so many that `top_k` are allowed.

        There are more where some are under a threshold of their own, which make room for the
        next ones, and fewer allowed ones where there are no more. `score` maps a standardised
        similarity to a probability and does not fall.
        """
        depth = self._first_depth(top_k)
        hits = self.index.search(embedding, min(depth, len(self.index)))[0]
        return self._deepened(hits, depth, embedding, top_k, min_score, score)

    def search_windows(
        self,
        embeddings: npt.NDArray[np.float32],
        top_k: int,
        min_score: float,
        score: Callable[[float], float],
    ) -> list[list[Hit]]:
        """The labels nearest to each of (W, dim) embeddings, best first, as `search` finds them.

        Behind the first `top_k` only those that are not under a threshold of their own: a film has
        many windows.
        """
        if not self.thresholds:
            return self.index.search(embeddings, min(top_k, len(self.index)))
        depth = self._first_depth(top_k)
        # one search for all, which mostly is enough
        first = self.index.search(embeddings, min(depth, len(self.index)))
        found = (
            self._deepened(hits, depth, row, top_k, min_score, score)
            for hits, row in zip(first, embeddings[:, np.newaxis], strict=True)
        )
        return [
            [
                *hits[:top_k],
                *(h for h in hits[top_k:] if score(h.standardised) >= self._threshold(h.name)),
            ]
            for hits in found
        ]

    def _first_depth(self, top_k: int) -> int:
        return top_k + min(len(self.thresholds), _SPARE)

    def _deepened(
        self,
        hits: list[Hit],
        depth: int,
        embedding: npt.NDArray[np.float32],
        top_k: int,
        min_score: float,
        score: Callable[[float], float],
    ) -> list[Hit]:
        """The hits, found to a `depth`, or those of a deeper search where too few are allowed."""
        least: float | None = None
        while depth < len(self.index):
            # nothing is near an embedding that is no number
            if not hits or self._pass(hits, score) >= top_k:
                return hits
            if least is None:
                least = max(min_score, self._least_threshold())
            if score(hits[-1].standardised) < least:
                return hits
            depth *= 2
            hits = self.index.search(embedding, min(depth, len(self.index)))[0]
        return hits

    def _pass(self, hits: Sequence[Hit], score: Callable[[float], float]) -> int:
        """How many are not under a threshold of their own."""
        if not self.thresholds:
            return len(hits)
        return sum(score(hit.standardised) >= self._threshold(hit.name) for hit in hits)

    def _threshold(self, name: str) -> float:
        return self.thresholds.get(label_key(name), 0.0) if self.thresholds else 0.0

    def _least_threshold(self) -> float:
        if len(self.thresholds) < len(self.index):
            return 0.0
        return min(self.thresholds.values(), default=0.0)


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedVideo:
    """A whole video as a unit vector: `embedding` is float32 (1, dim)."""

    video: VideoInfo
    warnings: tuple[str, ...]
    embedding: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """How a video was cut for `granularity=segments`."""

    count: int
    window_seconds: float
    stride_seconds: float


@dataclass(frozen=True, slots=True)
class WindowTags:
    """The tags of one window by itself, not merged with its neighbours'."""

    start_seconds: float
    end_seconds: float
    tags: tuple[Tag, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How many windows are done, of how many; `latest` are those not told of before."""

    done: int
    total: int
    duration_seconds: float
    latest: tuple[WindowTags, ...]


OnProgress: TypeAlias = Callable[[Progress], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Classified:
    """The answer to a question about a video."""

    video: VideoInfo
    warnings: tuple[str, ...]
    tags: tuple[Tag, ...]
    segments: tuple[Segment, ...]
    unknown: Unknown
    windows: WindowPlan | None
    vocabulary: Vocabulary
