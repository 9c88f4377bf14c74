"""Answers of the service. Times are seconds from the first frame; scores are 0 to 1.

A field that a newer service adds is ignored. docs/api.md says what the fields mean.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Likelihood = Literal["likely", "possible", "unsure"]
JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A label that applies to a video."""

    label: str
    score: float
    likelihood: Likelihood
    similarity: float
    rank: int
    prompt: str
    duration_ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentTag(Tag):
    """A label that applies to a segment; `score` is the highest of its windows."""

    mean_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A span of time and the tags that apply throughout it."""

    start: float
    end: float
    tags: list[SegmentTag]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowTag:
    """A label that applies to one window."""

    label: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The tags of one window, before windows are merged into segments."""

    start: float
    end: float
    tags: list[WindowTag]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Windows that were tagged since the last event, of `total` windows."""

    done: int
    total: int
    duration: float
    windows: list[Window]


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """Facts about a video file; width and height as displayed."""

    duration: float
    fps: float
    width: int
    height: int
    rotation: int
    codec: str
    sha256: str
    warnings: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Whether none of the labels applies."""

    score: float
    is_unknown: bool
    duration_ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How a video was divided into windows."""

    count: int
    window_seconds: float
    stride_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamps:
    """Times of the frames that were looked at; `seconds` is None where there are over 100."""

    first: float
    last: float
    count: int
    seconds: list[float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The checkpoint that made an answer."""

    id: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedSet:
    """The label set that was searched; `name` is None for labels of the request."""

    name: str | None
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The tags of a video, and its segments with `granularity="segments"`."""

    request_id: str
    video: Video
    tags: list[Tag]
    segments: list[Segment]
    windows: Windows | None
    unknown: Unknown
    timestamps: Timestamps
    kept: bool
    model: Model
    label_set: SearchedSet
    timings: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A classification that outlives its request.

    `result` is None unless the job succeeded, and in lists. `problem` is the problem document of a
    job that failed.
    """

    id: str
    status: JobStatus
    sha256: str
    progress: float
    result: Classification | None
    problem: dict[str, Any] | None
    callback_url: str | None
    created_at: datetime
    finished_at: datetime | None

    @property
    def has_ended(self) -> bool:
        """Whether the job succeeded, failed or was cancelled."""
        return self.status not in ("queued", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A stored label."""

    name: str
    prompts: list[str]
    aliases: list[str]
    description: str | None
    language: str | None
    threshold: float | None
    enabled: bool
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSet:
    """The state of a label set; `revision` counts its writes."""

    name: str
    revision: int
    size: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """A warning about something that was stored nevertheless."""

    pointer: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The result of a write of labels, which every later request sees."""

    created: int
    updated: int
    removed: int
    warnings: list[Warned]
    label_set: LabelSet
    model: Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """The result of a change of a label's examples."""

    added: int
    removed: int
    examples: int
    weight: float
    warnings: list[Warned]
    label_set: LabelSet
    model: Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """One unit vector for a video, or one for each text."""

    request_id: str
    embeddings: list[list[float]]
    dim: int
    video: Video | None
    timestamps: Timestamps | None
    model: Model
    text_space: str
    timings: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptVideo:
    """A kept analysis of a video; only one of the running checkpoint is `in_use`."""

    sha256: str
    duration: float
    fps: float
    width: int
    height: int
    rotation: int
    codec: str
    metadata: dict[str, str]
    label_set: str | None
    kept_at: datetime
    size_bytes: int
    windows: Windows
    model: Model
    in_use: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVideo:
    """The kept video that a span belongs to."""

    sha256: str
    duration: float
    metadata: dict[str, str]
    kept_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSpan:
    """A span of a kept video that shows what was searched."""

    video: FoundVideo
    start: float
    end: float
    score: float
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of spans, best first, of `videos` searched videos."""

    request_id: str
    items: list[FoundSpan]
    next_page_token: str
    unknown: Unknown
    videos: int
    model: Model
    timings: dict[str, float]
