"""JSON of answers about videos; field descriptions are part of OpenAPI."""

from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import BaseModel, Field

from app.question import Classified, Progress, Timestamps
from app.routes.schemas.system import ModelAnswer
from model import Likelihood, Segment, Tag, Tagger, VideoInfo


class TagAnswer(BaseModel):
    """A label that applies to a video or a segment, with its score."""

    label: str
    score: float = Field(
        description="Calibrated probability that a viewer would agree with the label, 0 to 1."
    )
    likelihood: Likelihood = Field(
        description="Word for the score: likely, possible or unsure; `GET /model` gives the limits."
    )
    similarity: float = Field(description="Cosine similarity of the video and the label.")
    rank: int = Field(description="Position in the list, best first, from 1.")
    prompt: str = Field(
        description="Text of the label that is most similar to the video: its name or an alias."
    )
    duration_ratio: float | None = Field(
        description="Share of the video's duration that the label's segments cover; null with "
        "`granularity=video`."
    )

    @classmethod
    def of(cls, tag: Tag) -> Self:
        """Make it from the library's value."""
        return cls.model_validate(tag, from_attributes=True)


class SegmentTagAnswer(TagAnswer):
    """A label that applies to a segment; `score` is the highest of its windows."""

    mean_score: float = Field(description="Mean score of the label over the segment's windows.")


class SegmentAnswer(BaseModel):
    """A span of time and the tags that apply throughout it."""

    start: float = Field(description="Start, in seconds from the first frame.")
    end: float = Field(description="End, in seconds from the first frame.")
    tags: list[SegmentTagAnswer]

    @classmethod
    def of(cls, segment: Segment) -> Self:
        """Make it from the library's value."""
        tags = [
            SegmentTagAnswer(**TagAnswer.of(tag).model_dump(), mean_score=mean)
            for tag, mean in zip(segment.tags, segment.mean_scores, strict=True)
        ]
        return cls(start=segment.start_seconds, end=segment.end_seconds, tags=tags)


class WindowTagAnswer(BaseModel):
    """A label that applies to one window, with its score."""

    label: str
    score: float


class WindowAnswer(BaseModel):
    """The tags of one window, before windows are merged into segments."""

    start: float
    end: float
    tags: list[WindowTagAnswer]


class ProgressAnswer(BaseModel):
    """The data of a `progress` event."""

    done: int = Field(description="Number of windows tagged so far.")
    total: int = Field(description="Number of windows of the video.")
    duration: float = Field(description="Duration of the video in seconds.")
    windows: list[WindowAnswer] = Field(description="Windows tagged since the last event.")

    @classmethod
    def of(cls, progress: Progress) -> Self:
        """Make it from the service's value."""
        windows = [
            WindowAnswer(
                start=window.start_seconds,
                end=window.end_seconds,
                tags=[WindowTagAnswer(label=tag.label, score=tag.score) for tag in window.tags],
            )
            for window in progress.latest
        ]
        return cls(
            done=progress.done,
            total=progress.total,
            duration=progress.duration_seconds,
            windows=windows,
        )


class VideoAnswer(BaseModel):
    """Facts about the video file. Width and height are as displayed."""

    duration: float = Field(description="Duration in seconds.")
    fps: float = Field(description="Mean number of frames per second.")
    width: int = Field(description="Width in pixels, after rotation and pixel aspect ratio.")
    height: int = Field(description="Height in pixels, after rotation and pixel aspect ratio.")
    rotation: int = Field(
        description="Clockwise rotation in degrees that players apply to the frames."
    )
    codec: str = Field(description="Name of the video codec.")
    sha256: str = Field(description="SHA-256 of the file in hex.")
    warnings: list[str] = Field(description="What is unusual about the file, as text.")

    @classmethod
    def of(cls, info: VideoInfo, warnings: Sequence[str], sha256: str) -> Self:
        """Make it from the library's value."""
        return cls(
            duration=info.duration_seconds,
            fps=info.frames_per_second,
            width=info.width,
            height=info.height,
            rotation=info.rotation,
            codec=info.codec,
            sha256=sha256,
            warnings=list(warnings),
        )


class UnknownAnswer(BaseModel):
    """Whether none of the labels applies."""

    score: float = Field(
        description="Probability that a viewer would agree with none of the labels, 0 to 1; with "
        "`granularity=segments`, that of the window where it is lowest. It and the best score do "
        "not exceed 1 together."
    )
    is_unknown: bool = Field(
        description="Whether the score is over the checkpoint's limit; `GET /model` gives the "
        "limit and its false-positive rate."
    )
    duration_ratio: float | None = Field(
        description="Share of the video's windows that are unknown; null with `granularity=video`."
    )


class WindowsAnswer(BaseModel):
    """How the video was divided into windows; a long video gets a wider stride than requested."""

    count: int = Field(description="Number of windows.")
    window_seconds: float = Field(description="Length of a window.")
    stride_seconds: float = Field(description="Time from one window's start to the next.")


class LabelSetAnswer(BaseModel):
    """The label set that was searched."""

    name: str | None = Field(description="Name of the label set; null for labels of the request.")
    revision: int = Field(
        description="Revision of the set, which every write increases; 0 for labels of the request."
    )


class TimestampsAnswer(BaseModel):
    """The times of the frames that were looked at, in seconds from the first frame."""

    first: float = Field(description="Time of the first one.")
    last: float = Field(description="Time of the last one.")
    count: int = Field(description="Number of different times.")
    seconds: list[float] | None = Field(
        description="All times, ascending; null where there are more than 100."
    )

    @classmethod
    def of(cls, timestamps: Timestamps) -> Self:
        """Make it from the service's value."""
        return cls(
            first=timestamps.first_seconds,
            last=timestamps.last_seconds,
            count=timestamps.count,
            seconds=list(timestamps.seconds) or None,
        )


class ClassifyAnswer(BaseModel):
    """The answer of `POST /classify`."""

    request_id: str
    video: VideoAnswer
    tags: list[TagAnswer]
    segments: list[SegmentAnswer] = Field(
        description="Segments by time; empty with `granularity=video`."
    )
    windows: WindowsAnswer | None = Field(
        description="Windows of the video; null with `granularity=video`."
    )
    unknown: UnknownAnswer
    timestamps: TimestampsAnswer
    kept: bool = Field(
        description="Whether an analysis of the video is kept after this request, because it asked "
        "for it or was answered from one."
    )
    model: ModelAnswer
    label_set: LabelSetAnswer
    timings: dict[str, float] = Field(description="Seconds in each stage of the request.")

    @classmethod
    def of(
        cls,
        classified: Classified,
        *,
        sha256: str,
        kept: bool,
        tagger: Tagger,
        request_id: str,
        timings: Mapping[str, float],
    ) -> Self:
        """Make the answer from the service's value and facts about the request."""
        searched, plan = classified.searched, classified.windows
        return cls(
            request_id=request_id,
            video=VideoAnswer.of(classified.video, classified.warnings, sha256),
            tags=[TagAnswer.of(tag) for tag in classified.tags],
            segments=[SegmentAnswer.of(segment) for segment in classified.segments],
            windows=WindowsAnswer.model_validate(plan, from_attributes=True) if plan else None,
            unknown=UnknownAnswer.model_validate(classified.unknown, from_attributes=True),
            timestamps=TimestampsAnswer.of(classified.timestamps),
            kept=kept,
            model=ModelAnswer.of(tagger),
            label_set=LabelSetAnswer(name=searched.name, revision=searched.revision),
            timings=dict(timings),
        )
