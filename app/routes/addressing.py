"""What addresses of labels have in common: names in the path, pages and their tokens."""

import base64
import binascii
import json
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from pydantic import AfterValidator

from app.errors import InvalidParameter
from app.store import DEFAULT_SET, SET_NAME

MAX_ITEMS = 1_000

SetName = Annotated[
    str, Path(pattern=f"^{SET_NAME.pattern}$", description="Name of the label set.")
]


async def named_set(label_set: SetName) -> None:
    """Checks the name of the set in an address that has one, and puts it into OpenAPI."""


async def _asked_set(request: Request) -> str:
    name: str = request.path_params.get("label_set", DEFAULT_SET)
    return name


AskedSet = Annotated[str, Depends(_asked_set)]
LabelName = Annotated[str, Path(description="The label's name in any spelling; may contain `/`.")]

PageSize = Annotated[
    int,
    Query(ge=1, description=f"Most items in the answer; more than {MAX_ITEMS} is {MAX_ITEMS}."),
    AfterValidator(lambda size: min(size, MAX_ITEMS)),
]
PageToken = Annotated[
    str, Query(max_length=8_000, description="`next_page_token` of the page before.")
]


def write_token(last_key: str | None, query: str = "") -> str:
    """A token that goes on behind `last_key` with the same query; empty at the end."""
    if last_key is None:
        return ""
    return base64.urlsafe_b64encode(json.dumps([last_key, query]).encode()).decode().rstrip("=")


def read_token(token: str, query: str = "") -> str:
    """The key behind which the page begins. Raises InvalidParameter for a token not of ours."""
    if not token:
        return ""
    try:
        padded = token.encode() + b"=" * (-len(token) % 4)
        last_key, asked = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (binascii.Error, UnicodeError, ValueError, TypeError, RecursionError):
        last_key, asked = None, None
    if asked != query or not isinstance(last_key, str) or not last_key.isprintable():
        raise InvalidParameter.at("query", "page_token", "not a token of this list")
    return last_key
