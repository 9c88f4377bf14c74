"""What is asked about a video, and what is answered."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from app.timeline import Segment
from model import LabelIndex, Tag, Unknown, VideoInfo, label_key

DecodeMode: TypeAlias = Literal["auto", "exact", "keyframes"]


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
        return tag.score >= max(min_score, self.thresholds.get(label_key(tag.label), 0.0))


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
