"""Values of requests about a video, and of the service's answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from model import LabelIndex, Segment, Tag, Unknown, VideoInfo, WindowPlan, WindowTags

DecodeMode: TypeAlias = Literal["auto", "exact", "keyframes"]

# Up to this many rows and hits, a search takes less time than a switch of threads.
_MAX_INLINE_ROWS = 2_000
_MAX_INLINE_HITS = 100


@dataclass(frozen=True, slots=True)
class ClassifyRequest:
    """The options of one classification; times in seconds.

    `labels` are sent with the request; if there are none, `label_set` is searched, at revision
    `min_revision` or later. `timeout_seconds` may shorten the service's own timeout. `decode` is
    how frames are selected. Without `hysteresis`, each window of a segment reaches the score that
    opens the segment.
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
    hysteresis: bool = True


@dataclass(frozen=True, slots=True)
class SearchedLabels:
    """The labels that one request searches.

    For labels sent with the request, `name` is None and `revision` 0.
    """

    name: str | None
    revision: int
    index: LabelIndex

    def is_searched_inline(self, top_k: int) -> bool:
        """Whether a search is short enough to run on the event loop."""
        index = self.index
        rows = len(index.base.rows) + len(index.delta.rows)
        return not index.thresholds and top_k <= _MAX_INLINE_HITS and rows <= _MAX_INLINE_ROWS


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedVideo:
    """A whole video as a unit vector: `embedding` is (dim,) float32."""

    video: VideoInfo
    warnings: tuple[str, ...]
    embedding: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Progress:
    """Number of windows done and in total; `latest` has the tags of those not reported before."""

    done: int
    total: int
    duration_seconds: float
    latest: tuple[WindowTags, ...]


OnProgress: TypeAlias = Callable[[Progress], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Classified:
    """The answer to a `ClassifyRequest`; `windows` is None with `granularity=video`."""

    video: VideoInfo
    warnings: tuple[str, ...]
    tags: tuple[Tag, ...]
    segments: tuple[Segment, ...]
    unknown: Unknown
    windows: WindowPlan | None
    searched: SearchedLabels
