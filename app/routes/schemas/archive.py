"""JSON about kept videos; field descriptions are part of OpenAPI."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from app.archive.search import FoundSpan
from app.routes.schemas.system import ModelAnswer
from app.routes.schemas.videos import UnknownAnswer, WindowsAnswer
from app.store.analyses import KeptVideo


class KeptVideoAnswer(BaseModel):
    """A kept analysis of a video: facts about it, without its embeddings."""

    sha256: str = Field(description="SHA-256 of the file in hex.")
    duration: float = Field(description="Duration in seconds.")
    fps: float = Field(description="Mean number of frames per second.")
    width: int = Field(description="Width in pixels, as displayed.")
    height: int = Field(description="Height in pixels, as displayed.")
    rotation: int = Field(description="Clockwise rotation in degrees that players apply.")
    codec: str = Field(description="Name of the video codec.")
    metadata: dict[str, str] = Field(description="What the caller gave with the video.")
    label_set: str | None = Field(
        description="Label set that it was kept with; null for labels of the request."
    )
    kept_at: datetime = Field(description="When it was kept, in UTC.")
    size_bytes: int = Field(description="Size of the stored embeddings and times.")
    windows: WindowsAnswer
    model: ModelAnswer
    in_use: bool = Field(
        description="Whether the running checkpoint made the analysis. If not, it is kept but "
        "cannot be asked; send the video again with `keep=true`."
    )

    @classmethod
    def of(cls, kept: KeptVideo, *, in_use: bool) -> Self:
        """Make it from the store's value."""
        video = kept.video
        return cls(
            sha256=kept.sha256,
            duration=video.duration_seconds,
            fps=video.frames_per_second,
            width=video.width,
            height=video.height,
            rotation=video.rotation,
            codec=video.codec,
            metadata=dict(kept.metadata),
            label_set=kept.label_set,
            kept_at=kept.kept_at,
            size_bytes=kept.size_bytes,
            windows=WindowsAnswer(
                count=kept.window_count,
                window_seconds=kept.window_seconds,
                stride_seconds=kept.stride_seconds,
            ),
            model=ModelAnswer(id=kept.model_id, revision=kept.video_space),
            in_use=in_use,
        )


class KeptVideosAnswer(BaseModel):
    """A page of kept videos, newest first."""

    items: list[KeptVideoAnswer]
    next_page_token: str = Field(description="Token of the next page; empty on the last one.")


class FoundVideoAnswer(BaseModel):
    """The video that a span belongs to."""

    sha256: str
    duration: float = Field(description="Duration in seconds.")
    metadata: dict[str, str] = Field(description="What the caller gave with the video.")
    kept_at: datetime = Field(description="When it was kept, in UTC.")


class FoundSpanAnswer(BaseModel):
    """A span of a kept video, in seconds from its first frame."""

    video: FoundVideoAnswer
    start: float
    end: float
    score: float = Field(
        description="Calibrated probability that the span shows what is searched, 0 to 1: that of "
        "its best window."
    )
    similarity: float = Field(description="Cosine similarity of that window.")

    @classmethod
    def of(cls, span: FoundSpan) -> Self:
        """Make it from the archive's value."""
        kept = span.kept
        return cls(
            video=FoundVideoAnswer(
                sha256=kept.sha256,
                duration=kept.video.duration_seconds,
                metadata=dict(kept.metadata),
                kept_at=kept.kept_at,
            ),
            start=span.start_seconds,
            end=span.end_seconds,
            score=span.score,
            similarity=span.similarity,
        )


class SearchAnswer(BaseModel):
    """The answer of `/search`: spans, best first."""

    request_id: str
    items: list[FoundSpanAnswer]
    next_page_token: str = Field(description="Token of the next page; empty on the last one.")
    unknown: UnknownAnswer = Field(
        description="Whether none of the searched videos fits; the items are then the least bad."
    )
    videos: int = Field(description="Number of kept videos that were searched.")
    model: ModelAnswer
    timings: dict[str, float] = Field(description="Seconds in each stage of the request.")


class RemovedVideoAnswer(BaseModel):
    """The answer of `DELETE /videos/{sha256}`."""

    removed: int = Field(description="Number of deleted analyses: one per checkpoint.")
