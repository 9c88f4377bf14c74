"""Options of requests, and how they are written into an address. docs/api.md explains them."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NotRequired, TypedDict

# The service reads 64 KiB of a form field; a label has up to 200 characters of 4 bytes each.
_LABELS_A_FIELD = 50

Decode = Literal["auto", "exact", "keyframes"]


class VideoOptions(TypedDict, total=False):
    """Options of every request with a video."""

    decode: Decode
    timeout_seconds: float


class Question(VideoOptions, total=False):
    """Options of every request for the tags of a video."""

    top_k: int
    label_set: str
    min_revision: int
    labels: Sequence[str]
    min_score: float
    granularity: Literal["video", "segments"]
    window_seconds: float
    stride_seconds: float
    hysteresis: bool


class ClassifyOptions(Question, total=False):
    """Options of `classify`."""

    keep: bool
    metadata: Mapping[str, str]


class JobOptions(ClassifyOptions, total=False):
    """Options of `create_job`."""

    callback_url: str


class VideoFilter(TypedDict, total=False):
    """Which kept videos are listed or searched."""

    kept_after: datetime
    kept_before: datetime
    min_duration: float
    max_duration: float
    label_set: str
    metadata: Mapping[str, str]


class SearchOptions(VideoFilter, total=False):
    """Options of `search`."""

    min_score: float
    page_size: int
    page_token: str


class ClipSearchOptions(SearchOptions, total=False):
    """Options of `search_clip`."""

    decode: Decode
    timeout_seconds: float


class LabelFields(TypedDict):
    """A label to store; only `name` is required."""

    name: str
    prompts: NotRequired[Sequence[str]]
    aliases: NotRequired[Sequence[str]]
    description: NotRequired[str | None]
    language: NotRequired[str | None]
    threshold: NotRequired[float | None]
    enabled: NotRequired[bool]
    metadata: NotRequired[Mapping[str, object]]


def query(options: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return options as query parameters; those that are None are left out."""
    pairs = []
    for name, value in options.items():
        if name == "labels" and isinstance(value, Sequence):
            parts = [
                value[at : at + _LABELS_A_FIELD] for at in range(0, len(value), _LABELS_A_FIELD)
            ]
            # JSON arrays: a label may contain a comma
            pairs += [(name, json.dumps(list(part), ensure_ascii=False)) for part in parts]
        elif value is not None:
            pairs.append((name, _text(value)))
    return pairs


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return json.dumps(dict(value))
    return str(value)
