"""Values of requests about a video, and of the service's answers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from model import LabelIndex, Segment, Tag, Unknown, VideoInfo, WindowPlan, WindowTags

DecodeMode: TypeAlias = Literal["auto", "exact", "keyframes"]

# Up to this many rows and hits, a search takes less time than a switch of threads.
_MAX_INLINE_ROWS = 2_000
_MAX_INLINE_HITS = 100
# An answer about a clip lists every time; one about a film gives the first, the last and the count.
_MAX_LISTED_TIMES = 100
_MAX_INT8 = 127


@dataclass(frozen=True, slots=True)
class ClassifyRequest:
    """The options of one classification; times in seconds.

    `labels` are sent with the request; if there are none, `label_set` is searched, at revision
    `min_revision` or later. `timeout_seconds` may shorten the service's own timeout. `decode` is
    how frames are selected. Without `hysteresis`, each window of a segment reaches the score that
    opens the segment. With `keep` the analysis is stored, with the caller's `metadata`.
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
    keep: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timestamps:
    """The times at which frames were looked at, in seconds from the first frame.

    `seconds` lists all of them, ascending; it is empty where there are more than 100.
    """

    first_seconds: float
    last_seconds: float
    count: int
    seconds: tuple[float, ...]

    @classmethod
    def of(cls, seconds: npt.NDArray[np.float64]) -> Self:
        """Summarise (F,) float64 times, F > 0, in any order; equal times count once."""
        times = np.unique(seconds).tolist()
        listed = tuple(times) if len(times) <= _MAX_LISTED_TIMES else ()
        return cls(times[0], times[-1], len(times), listed)


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
    """A whole video as a unit vector: `embedding` is (dim,) float32 with values of float16."""

    video: VideoInfo
    warnings: tuple[str, ...]
    embedding: npt.NDArray[np.float32]
    timestamps: Timestamps


@dataclass(frozen=True, slots=True, eq=False)
class KeptChunks:
    """The features of the C chunks of a film, from which windows of other lengths are computed.

    `centres_seconds` is (C,) float64, the middle of each chunk. `features` is (C, F) int8; times
    `scales` (C,) float32 they are a chunk's mean features before the network's head.
    """

    centres_seconds: npt.NDArray[np.float64]
    features: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]

    @classmethod
    def of(
        cls, centres_seconds: npt.NDArray[np.float64], features: npt.NDArray[np.float32]
    ) -> Self:
        """Round (C, F) float32 features to 255 values, the largest of a chunk's being 127."""
        largest = np.abs(features).max(axis=1)
        scales = (np.where(largest > 0, largest, 1.0) / _MAX_INT8).astype(np.float32)
        rounded = np.rint(features / scales[:, np.newaxis]).astype(np.int8)
        return cls(centres_seconds, rounded, scales)

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """The features as (C, F) float32."""
        return self.features * self.scales[:, np.newaxis]


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedWindows:
    """The W windows of a plan as unit vectors: (W, dim) float32 with values of float16.

    `chunks` is None where they are not to be kept, or were not read.
    """

    plan: WindowPlan
    warnings: tuple[str, ...]
    embeddings: npt.NDArray[np.float32]
    timestamps: Timestamps
    chunks: KeptChunks | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What can be kept of a video: embeddings and times, no pixels.

    `video_space` names the checkpoint that computed the embeddings; no other can compare them.
    """

    sha256: str
    model_id: str
    video_space: str
    decode: DecodeMode
    whole: EmbeddedVideo
    windows: EmbeddedWindows

    @property
    def video(self) -> VideoInfo:
        """Facts about the video."""
        return self.whole.video


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
    """The answer to a `ClassifyRequest`; `windows` is None with `granularity=video`.

    `analysis` is what to keep of the video, where the request asks to keep it.
    """

    video: VideoInfo
    warnings: tuple[str, ...]
    tags: tuple[Tag, ...]
    segments: tuple[Segment, ...]
    unknown: Unknown
    windows: WindowPlan | None
    searched: SearchedLabels
    timestamps: Timestamps
    analysis: Analysis | None = None


def distinct(warnings: Sequence[str]) -> tuple[str, ...]:
    """Return the warnings in their order, each once."""
    return tuple(dict.fromkeys(warnings))
