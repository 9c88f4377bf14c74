"""Options of requests about videos: query parameters and form fields, read and checked."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from app.errors import InvalidParameter
from app.labels.listed import split_labels
from app.labels.metadata import Metadata
from app.question import Analysis, ClassifyRequest, DecodeMode
from app.settings import Settings
from app.store import DEFAULT_SET

_Options = TypeVar("_Options", bound=BaseModel)


class VideoOptions(BaseModel):
    """Options of every request that sends a video."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decode: DecodeMode = Field(
        "auto",
        description="How frames are chosen. The checkpoint divides the video into equal parts and "
        "looks at one frame of each: `exact` takes the frame in the middle of the part, `auto` the "
        "frame near the middle that is cheapest to decode. `keyframes` decodes keyframes only: the "
        "fastest, with less exact times.",
    )
    timeout_seconds: float | None = Field(
        None,
        ge=0.1,
        le=86400.0,
        description="Maximum time from the last byte of the request to the answer. It can shorten "
        "the service's own timeout, not extend it.",
    )


class QuestionOptions(VideoOptions):
    """Options of every request that asks for the tags of a video."""

    top_k: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Maximum number of tags. The service has a default.",
    )
    label_set: str | None = Field(
        None, max_length=200, description="Name of the label set to search. Default: `default`."
    )
    min_revision: int | None = Field(
        None,
        ge=0,
        le=2**63 - 1,
        description="Minimum revision of the label set, as the answer to a write gives it. The "
        "service waits up to a few seconds for it.",
    )
    labels: tuple[str, ...] = Field(
        (),
        description="Labels to search in place of a label set; they are not stored. Repeat the "
        'option, separate labels by commas, or give a JSON array: `["cat", "dog"]`. Put a label '
        'that contains a comma in double quotes: `"eat, drink"`.',
    )
    min_score: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="Minimum score of a tag, and of every window of a segment.",
    )
    granularity: Literal["video", "segments"] = Field(
        "video",
        description="`video` tags the video as a whole. `segments` also tags spans of time.",
    )
    window_seconds: float | None = Field(
        None,
        ge=0.1,
        le=3600.0,
        description="Length of a window with `granularity=segments`. The service has a default.",
    )
    stride_seconds: float | None = Field(
        None,
        ge=0.1,
        le=3600.0,
        description="Time from the start of one window to the start of the next with "
        "`granularity=segments`, at most `window_seconds`. The service has a default.",
    )
    hysteresis: bool = Field(
        True,
        description="With `granularity=segments`: a segment opens where a label reaches 30 % of "
        "the highest score in the video, or `min_score` if that is higher, and continues down to "
        "half of that score, but never below `min_score` or the label's threshold. `false`: it "
        "ends where the label falls below the opening score.",
    )


class ClassifyOptions(QuestionOptions):
    """Options of `POST /classify`."""

    keep: bool = Field(
        False,
        description="Keep the analysis, so that the video can be asked again without the file: "
        "embeddings of all windows and of the whole video, no pixels.",
    )
    # an object in a query would be sent as one parameter for each of its names
    metadata: Annotated[
        Metadata, WithJsonSchema({"type": "string", "contentMediaType": "application/json"})
    ] = Field(
        default_factory=dict,
        description="With `keep`: JSON object of texts, stored with the analysis and returned "
        'unchanged, such as `{"camera": "north"}`.',
    )


_Asked = TypeVar("_Asked", bound=ClassifyOptions)


def read_classify_request(
    query: Iterable[tuple[str, str]], fields: Iterable[tuple[str, str]], settings: Settings
) -> ClassifyRequest:
    """Read a request from query parameters and form fields, with defaults from the settings.

    An empty value counts as missing. Raises InvalidParameter.
    """
    asked, _ = read_request(ClassifyOptions, query, fields, settings)
    return asked


def read_request(
    model: type[_Asked],
    query: Iterable[tuple[str, str]],
    fields: Iterable[tuple[str, str]],
    settings: Settings,
) -> tuple[ClassifyRequest, _Asked]:
    """Read a request as `read_classify_request` does; also return all options of `model`."""
    fields = tuple(fields)
    part = "form" if fields else "query"
    options = read_options(model, [*query, *fields], part)
    if options.metadata and not options.keep:
        raise InvalidParameter.at(part, "metadata", "is stored with keep=true only")
    window = options.window_seconds or settings.window_seconds
    stride = options.stride_seconds or min(settings.stride_seconds, window)
    asked = _request(options, part, window, stride, options.decode, settings)
    return replace(asked, keep=options.keep, metadata=options.metadata), options


def kept_request(
    options: QuestionOptions, analysis: Analysis, settings: Settings
) -> ClassifyRequest:
    """Return a request about a kept analysis, whose windows and decode mode are the defaults.

    Raises InvalidParameter.
    """
    plan = analysis.windows.plan
    decode = options.decode if "decode" in options.model_fields_set else analysis.decode
    window = options.window_seconds or plan.window_seconds
    stride = options.stride_seconds or plan.stride_seconds
    return _request(options, "body", window, stride, decode, settings)


def _request(
    options: QuestionOptions,
    part: str,
    window: float,
    stride: float,
    decode: DecodeMode,
    settings: Settings,
) -> ClassifyRequest:
    if options.labels and options.label_set is not None:
        raise InvalidParameter.at(part, "labels", "give either labels or label_set, not both")
    if len(options.labels) > settings.max_ad_hoc_labels:
        raise InvalidParameter.at(
            part, "labels", f"a request may have at most {settings.max_ad_hoc_labels} labels"
        )
    if options.labels and options.min_revision is not None:
        raise InvalidParameter.at(
            part, "min_revision", "applies to label sets only; labels of a request have no revision"
        )
    if options.stride_seconds is not None and stride > window:
        raise InvalidParameter.at(part, "stride_seconds", "must not be over window_seconds")
    return ClassifyRequest(
        label_set=options.label_set or DEFAULT_SET,
        labels=options.labels,
        top_k=options.top_k or settings.top_k,
        min_score=options.min_score,
        granularity=options.granularity,
        window_seconds=window,
        stride_seconds=stride,
        timeout_seconds=options.timeout_seconds,
        decode=decode,
        min_revision=options.min_revision or 0,
        hysteresis=options.hysteresis,
    )


def read_options(model: type[_Options], pairs: Iterable[tuple[str, str]], part: str) -> _Options:
    """Read options from (name, value) pairs, sent in `part` of the request (`query` or `form`).

    An empty value counts as missing. Raises InvalidParameter.
    """
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name == "labels":
            if value:
                given[name] = [*given.get(name, ()), *_labels(value, part)]
        elif name in given:
            raise InvalidParameter.at(part, name, "given more than once")
        elif value:
            given[name] = value
    try:
        return model.model_validate(given)
    except ValidationError as error:
        findings = error.errors(include_url=False, include_input=False)
        raise InvalidParameter.of([_finding(f, part, model) for f in findings]) from error


def _labels(value: str, part: str) -> list[str]:
    try:
        return split_labels(value)
    except ValueError as error:
        raise InvalidParameter.at(part, "labels", str(error)) from error


def _finding(found: ErrorDetails, part: str, model: type[BaseModel]) -> dict[str, Any]:
    message = found["msg"]
    if found["type"] == "extra_forbidden":
        message = f"is not an option; the options are {', '.join(model.model_fields)}"
    return {"loc": (part, *found["loc"]), "msg": message}
