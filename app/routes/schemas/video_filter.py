"""Parameters that select kept videos: of their list, and of a search."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, TypeAdapter, ValidationError

from app.errors import InvalidParameter
from app.labels.fields import fault
from app.labels.metadata import Metadata
from app.routes.addressing import searchable
from app.routes.schemas.options import VideoOptions
from app.store.analyses import VideoFilter

MAX_SPANS = 100


def _written_out(value: Any) -> Any:
    """Refuse a number, which pydantic would read as seconds since 1970 in an unknown zone."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d", value):
        raise ValueError("a time is written as 2026-11-30T18:00:00Z")
    return value


def _in_utc(value: datetime) -> datetime:
    """Convert to UTC, in which times are stored and compared."""
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise fault("lies in UTC before the year 1 or after the year 9999") from error


_Time = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]

KeptAfter = Annotated[_Time | None, Query(description="Only videos kept at this time or later.")]
KeptBefore = Annotated[_Time | None, Query(description="Only videos kept before this time.")]
MinDuration = Annotated[float | None, Query(ge=0, description="Minimum duration in seconds.")]
MaxDuration = Annotated[float | None, Query(ge=0, description="Maximum duration in seconds.")]
KeptWith = Annotated[
    Annotated[str, AfterValidator(searchable)] | None,
    Query(max_length=64, description="Only videos kept with this label set."),
]
MetadataJson = Annotated[
    str | None,
    Query(
        max_length=16_000, description="JSON object; only videos whose metadata have these values."
    ),
]
MinScore = Annotated[float, Query(ge=0, le=1, description="Minimum score of a span.")]
SpanCount = Annotated[
    int,
    Query(ge=1, description=f"Maximum number of spans; values over {MAX_SPANS} mean {MAX_SPANS}."),
    AfterValidator(lambda size: min(size, MAX_SPANS)),
]


class SearchOptions(VideoOptions):
    """Options of `POST /search`."""

    min_score: MinScore = 0.0
    page_size: SpanCount = 10
    page_token: Annotated[
        str, Query(max_length=8_000, description="`next_page_token` of the previous page.")
    ] = ""
    kept_after: KeptAfter = None
    kept_before: KeptBefore = None
    min_duration: MinDuration = None
    max_duration: MaxDuration = None
    label_set: KeptWith = None
    metadata: MetadataJson = None

    @property
    def wanted(self) -> VideoFilter:
        """The videos to search. Raises InvalidParameter."""
        return VideoFilter(
            self.kept_after,
            self.kept_before,
            self.min_duration,
            self.max_duration,
            self.label_set,
            _parsed(self.metadata),
        )


async def _filter(
    kept_after: KeptAfter = None,
    kept_before: KeptBefore = None,
    min_duration: MinDuration = None,
    max_duration: MaxDuration = None,
    label_set: KeptWith = None,
    metadata: MetadataJson = None,
) -> VideoFilter:
    return VideoFilter(
        kept_after, kept_before, min_duration, max_duration, label_set, _parsed(metadata)
    )


FilterDep = Annotated[VideoFilter, Depends(_filter)]


def _parsed(metadata: str | None) -> dict[str, str]:
    if metadata is None:
        return {}
    try:
        return TypeAdapter(Metadata).validate_python(metadata)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidParameter.at("query", "metadata", found[0]["msg"]) from error
