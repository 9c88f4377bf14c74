"""The JSON of the API, apart from labels; field descriptions become the OpenAPI document."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.errors import InvalidParameter
from app.question import Classified, ClassifyRequest, DecodeMode, Progress
from app.settings import Settings
from app.store import DEFAULT_SET
from app.upload.buffer import SealedFile
from model import Segment, Tag, Tagger, VideoInfo

_Options = TypeVar("_Options", bound=BaseModel)


class VideoOptions(BaseModel):
    """Options of everything that looks at a video: form fields, or query parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decode: DecodeMode = Field(
        "auto",
        description="Which frames: `auto` those that cost least to decode around the middles of "
        "the checkpoint's equal parts of the video, `exact` those in the middle; `keyframes` only "
        "pictures that need no other: fastest, and less exact in time.",
    )
    timeout_seconds: float | None = Field(
        None,
        gt=0.0,
        le=86400.0,
        description="Give up after this time from the last byte, if that is before the service "
        "would.",
    )


class Options(VideoOptions):
    """Options of `POST /classify`."""

    top_k: int | None = Field(
        None, ge=1, le=1_000_000, description="Most tags to answer; the set's size at most."
    )
    label_set: str | None = Field(
        None, max_length=200, description="Label set to ask; `default` unless given."
    )
    min_revision: int | None = Field(
        None,
        ge=0,
        le=2**63 - 1,
        description="Answer with this revision of the label set or a later one, as a write gave "
        "it; waits a few seconds for it.",
    )
    labels: tuple[str, ...] = Field(
        (),
        description="Labels to ask instead of a set; they are not stored. Repeat the option, or "
        'separate labels by commas; a label with a comma goes in double quotes: `"eat, drink"`.',
    )
    min_score: float = Field(
        0.0, ge=0.0, le=1.0, description="Least score of a tag that is answered."
    )
    granularity: Literal["video", "segments"] = Field(
        "video", description="Tags of the whole video only, or also of segments with their times."
    )
    window_seconds: float | None = Field(
        None, ge=0.1, le=3600.0, description="`segments`: length of the windows that are looked at."
    )
    stride_seconds: float | None = Field(
        None, ge=0.1, le=3600.0, description="`segments`: step from one window to the next."
    )


def read_classify_request(
    query: Iterable[tuple[str, str]], fields: Iterable[tuple[str, str]], settings: Settings
) -> ClassifyRequest:
    """What is asked by query parameters and form fields, with the settings' values for the rest.

    An empty value counts as not given. Raises InvalidParameter.
    """
    fields = tuple(fields)
    part = "form" if fields else "query"
    options = read_options(Options, [*query, *fields], part)
    window = options.window_seconds or settings.window_seconds
    stride = options.stride_seconds or min(settings.stride_seconds, window)
    if options.labels and options.label_set is not None:
        raise InvalidParameter.at(part, "labels", "give either labels or a label_set")
    if len(options.labels) > settings.max_ad_hoc_labels:
        raise InvalidParameter.at(
            part, "labels", f"at most {settings.max_ad_hoc_labels} labels may come with a request"
        )
    if options.labels and options.min_revision is not None:
        raise InvalidParameter.at(part, "min_revision", "labels that come along have no revision")
    if stride > window:
        raise InvalidParameter.at(part, "stride_seconds", "may not be over window_seconds")
    return ClassifyRequest(
        label_set=options.label_set or DEFAULT_SET,
        labels=options.labels,
        top_k=options.top_k or settings.top_k,
        min_score=options.min_score,
        granularity=options.granularity,
        window_seconds=window,
        stride_seconds=stride,
        timeout_seconds=options.timeout_seconds,
        decode=options.decode,
        min_revision=options.min_revision or 0,
    )


def split_labels(value: str) -> list[str]:
    """A comma list of labels; a label with a comma stands in double quotes."""
    rows = csv.reader([value.replace("\n", ",").replace("\r", ",")], skipinitialspace=True)
    return [name.strip() for row in rows for name in row if name.strip()]


def read_options(model: type[_Options], pairs: Iterable[tuple[str, str]], part: str) -> _Options:
    """Options from names and texts; an empty text counts as not given. Raises InvalidParameter."""
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name == "labels":
            given[name] = [*given.get(name, ()), *split_labels(value)]
        elif name in given:
            raise InvalidParameter.at(part, name, "given more than once")
        elif value:
            given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        findings = error.errors(include_url=False, include_input=False)
        raise InvalidParameter.of([{**f, "loc": (part, *f["loc"])} for f in findings]) from error


class TagAnswer(BaseModel):
    """A label given to a video or to a segment."""

    label: str
    score: float = Field(description="Calibrated probability that the label applies, 0 to 1.")
    similarity: float = Field(description="Raw cosine of the video's and the label's embeddings.")
    rank: int = Field(description="1 is the best.")
    prompt: str = Field(description="The text of the label that fitted best: its name or an alias.")
    duration_ratio: float | None = Field(
        description="Share of the video in which the label was found; with `segments` only."
    )

    @classmethod
    def of(cls, tag: Tag) -> Self:
        """The library's value as JSON has it."""
        return cls.model_validate(tag, from_attributes=True)


class SegmentTagAnswer(TagAnswer):
    """A label given to a segment; `score` is that of its best window."""

    mean_score: float = Field(description="Mean of the label's scores over the span's windows.")


class SegmentAnswer(BaseModel):
    """A span of time and the tags that were found all through it."""

    start: float = Field(description="Seconds from the first frame.")
    end: float
    tags: list[SegmentTagAnswer]

    @classmethod
    def of(cls, segment: Segment) -> Self:
        """The service's value as JSON has it."""
        tags = [
            SegmentTagAnswer(**TagAnswer.of(tag).model_dump(), mean_score=mean)
            for tag, mean in zip(segment.tags, segment.mean_scores, strict=True)
        ]
        return cls(start=segment.start_seconds, end=segment.end_seconds, tags=tags)


class WindowTagAnswer(BaseModel):
    """A label given to one window."""

    label: str
    score: float


class WindowAnswer(BaseModel):
    """The tags of one window by itself; segments are merged from them at the end."""

    start: float
    end: float
    tags: list[WindowTagAnswer]


class ProgressAnswer(BaseModel):
    """The data of a `progress` event; `windows` are those not told of before."""

    done: int
    total: int
    duration: float = Field(description="The video's, in seconds.")
    windows: list[WindowAnswer]

    @classmethod
    def of(cls, progress: Progress) -> Self:
        """The service's value as JSON has it."""
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
    """What the file says about itself; the size is as displayed, rotation and aspect applied."""

    duration: float = Field(description="Seconds.")
    fps: float
    width: int
    height: int
    rotation: int = Field(description="Degrees clockwise that players turn the coded pictures.")
    codec: str
    sha256: str
    warnings: list[str] = Field(description="What was odd about the file, for people.")

    @classmethod
    def of(cls, info: VideoInfo, warnings: Sequence[str], sha256: str) -> Self:
        """The library's value as JSON has it."""
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

    score: float = Field(description="Probability that none of the labels applies, 0 to 1.")
    is_unknown: bool = Field(
        description="Whether the score is over the checkpoint's limit, which `GET /model` states "
        "with its false-positive rate."
    )


class WindowsAnswer(BaseModel):
    """How the video was cut for `segments`; the stride grows when there would be too many."""

    count: int
    window_seconds: float
    stride_seconds: float


class ModelAnswer(BaseModel):
    """The checkpoint that answered."""

    id: str
    revision: str = Field(description="Begin of the weights' sha256.")


class LabelSetAnswer(BaseModel):
    """The labels that were asked."""

    name: str | None = Field(description="null for labels that came with the request.")
    revision: int = Field(description="Grows with every write; 0 for ad hoc labels.")


class ClassifyAnswer(BaseModel):
    """The answer of `POST /classify`."""

    request_id: str
    video: VideoAnswer
    tags: list[TagAnswer]
    segments: list[SegmentAnswer] = Field(description="Empty with `granularity=video`.")
    windows: WindowsAnswer | None = Field(description="null with `granularity=video`.")
    unknown: UnknownAnswer
    model: ModelAnswer
    label_set: LabelSetAnswer
    timings: dict[str, float] = Field(description="Seconds in each stage.")

    @classmethod
    def of(
        cls,
        classified: Classified,
        *,
        file: SealedFile,
        tagger: Tagger,
        request_id: str,
        timings: Mapping[str, float],
    ) -> Self:
        """The service's answer as JSON has it."""
        searched, plan = classified.searched, classified.windows
        return cls(
            request_id=request_id,
            video=VideoAnswer.of(classified.video, classified.warnings, file.sha256),
            tags=[TagAnswer.of(tag) for tag in classified.tags],
            segments=[SegmentAnswer.of(segment) for segment in classified.segments],
            windows=WindowsAnswer.model_validate(plan, from_attributes=True) if plan else None,
            unknown=UnknownAnswer.model_validate(classified.unknown, from_attributes=True),
            model=ModelAnswer(id=tagger.model_id, revision=tagger.revision),
            label_set=LabelSetAnswer(name=searched.name, revision=searched.revision),
            timings=dict(timings),
        )


class SamplingAnswer(BaseModel):
    """What the encoder looks at in a stretch of video."""

    clips: int
    frames_per_clip: int
    spacing: str


class UnknownLimit(BaseModel):
    """When the checkpoint says "none of these", and how often wrongly."""

    limit: float = Field(description="`is_unknown` is said of scores above it.")
    false_positive_rate: float | None = Field(
        description="Share of videos called unknown though one of the labels applies, 0 to 1; "
        "on the validation classes that the limit was fitted on. null where it was not fitted."
    )


class RunningModel(ModelAnswer):
    """The answer of `GET /model`."""

    dim: int = Field(description="Length of an embedding.")
    device: str
    runtime: str = Field(description="What runs the encoder now: eager, compile or openvino.")
    precision: str = Field(description="Type of its numbers: float32, bfloat16 or float16.")
    sampling: SamplingAnswer
    text_space: str = Field(description="Digest that changes when label vectors must be made anew.")
    unknown: UnknownLimit

    @classmethod
    def of(cls, tagger: Tagger) -> Self:
        """What a loaded checkpoint says about itself."""
        calibration = tagger.calibration.config
        return cls(
            id=tagger.model_id,
            revision=tagger.revision,
            dim=tagger.encoder.dim,
            device=tagger.device,
            runtime=tagger.encoder.runtime.name,
            precision=tagger.encoder.runtime.precision,
            sampling=SamplingAnswer.model_validate(tagger.sampling, from_attributes=True),
            text_space=tagger.text_space,
            unknown=UnknownLimit(
                limit=calibration.unknown_limit,
                false_positive_rate=calibration.unknown_false_positive_rate,
            ),
        )


class Status(BaseModel):
    """The answer of `/healthz` and `/readyz`."""

    status: Literal["ok"] = "ok"
