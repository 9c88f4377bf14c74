"""Parameters that label routes share: names in the path, page sizes and page tokens."""

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
    """Validate the path parameter `label_set` and add it to OpenAPI."""


async def _addressed_set(request: Request) -> str:
    name: str = request.path_params.get("label_set", DEFAULT_SET)
    return name


AddressedSet = Annotated[str, Depends(_addressed_set)]
LabelName = Annotated[str, Path(description="Name of the label, in any spelling; may contain `/`.")]

PageSize = Annotated[
    int,
    Query(ge=1, description=f"Maximum number of items; values over {MAX_ITEMS} mean {MAX_ITEMS}."),
    AfterValidator(lambda size: min(size, MAX_ITEMS)),
]
PageToken = Annotated[
    str, Query(max_length=8_000, description="`next_page_token` of the previous page.")
]


def write_token(last_key: str | None, query: str = "") -> str:
    """Return the token of the page after `last_key` of a query; empty if `last_key` is None."""
    if last_key is None:
        return ""
    return base64.urlsafe_b64encode(json.dumps([last_key, query]).encode()).decode().rstrip("=")


def read_token(token: str, query: str = "") -> str:
    """Return the key before a page. Raises InvalidParameter for the token of another list."""
    if not token:
        return ""
    try:
        padded = token.encode() + b"=" * (-len(token) % 4)
        last_key, token_query = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (binascii.Error, UnicodeError, ValueError, TypeError, RecursionError):
        last_key, token_query = None, None
    if token_query != query or not isinstance(last_key, str) or not last_key.isprintable():
        raise InvalidParameter.at("query", "page_token", "is not a page token of this list")
    return last_key
