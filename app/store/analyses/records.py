"""Values and errors of kept analyses."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

from model import KinolexError, VideoInfo


class VideoNotFound(KinolexError):
    """No analysis of this video is kept."""

    code = "video_not_found"


@dataclass(frozen=True, slots=True)
class KeptVideo:
    """A kept analysis without its embeddings.

    `id` increases with every kept analysis and is never used again. `video_space` and `model_id`
    name the checkpoint. `label_set` is the one that the video was kept with; None for labels of the
    request.
    """

    id: int
    sha256: str
    video: VideoInfo
    model_id: str
    video_space: str
    kept_at: datetime
    label_set: str | None
    metadata: Mapping[str, str]
    window_count: int
    window_seconds: float
    stride_seconds: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class VideoFilter:
    """Which kept videos to read; None and an empty mapping select all.

    Times are inclusive at the start and exclusive at the end, durations inclusive, in seconds.
    `metadata` has the values that a video's metadata must have.
    """

    kept_after: datetime | None = None
    kept_before: datetime | None = None
    min_duration: float | None = None
    max_duration: float | None = None
    label_set: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def selects_all(self) -> bool:
        """Whether the filter leaves out no video."""
        return self == VideoFilter()


@dataclass(frozen=True, slots=True, eq=False)
class KeptWindows:
    """The windows of one analysis, (W, dim) float32 with values of float16."""

    id: int
    embeddings: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """The archive's revision, and the time at which its database was made."""

    revision: int
    complete_since: int
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class ArchiveChanges:
    """What was written after a revision, as one read transaction sees it.

    `removed` has the ids and the numbers of windows of removed analyses, which can be of any
    checkpoint. `added` yields the windows of one checkpoint's analyses; `video_count` and
    `window_count` are the numbers of all its analyses and of all their windows.
    """

    state: ArchiveState
    removed: tuple[tuple[int, int], ...]
    added: Iterator[KeptWindows]
    video_count: int
    window_count: int
