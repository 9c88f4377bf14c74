"""Parameters that label routes share: names in the path, page sizes and page tokens.

Also refuses parameters that a route does not have, and names the routes in OpenAPI.
"""

import base64
import binascii
import json
import unicodedata
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import AfterValidator

from app.errors import InvalidParameter
from app.labels.fields import fault
from app.store import DEFAULT_SET, SET_NAME

MAX_ITEMS = 1_000
_Place = TypeVar("_Place")

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


def operation_id(route: APIRoute) -> str:
    """Return the name of a route in OpenAPI, from which generators name their functions."""
    in_a_set = route.path_format.startswith("/label-sets/{label_set}/")
    return f"{route.name}_in_set" if in_a_set else route.name


async def known_parameters(request: Request) -> None:
    """Check that the query has only parameters of the route, each once. Raises InvalidParameter."""
    known = _query_names(request.scope["route"].dependant)
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            have = f"the parameters are {', '.join(known)}" if known else "there are no parameters"
            raise InvalidParameter.at("query", name, f"is not a parameter; {have}")
        if given.count(name) > 1:
            raise InvalidParameter.at("query", name, "given more than once")


def _query_names(dependant: Dependant) -> list[str]:
    names = [field.alias for field in dependant.query_params]
    return names + [name for each in dependant.dependencies for name in _query_names(each)]


def write_token(last_key: str | None, query: str = "") -> str:
    """Return the token of the page after `last_key` of a query; empty if `last_key` is None."""
    if last_key is None:
        return ""
    # not \u escapes: they would make the token of a long key three times as long
    content = json.dumps([last_key, query], ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def read_token(token: str, query: str = "") -> str:
    """Return the key before a page. Raises InvalidParameter for the token of another list."""
    if not token:
        return ""
    try:
        padded = token.encode() + b"=" * (-len(token) % 4)
        last_key, token_query = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (binascii.Error, UnicodeError, ValueError, TypeError, RecursionError):
        last_key, token_query = None, None
    if token_query != query or not isinstance(last_key, str) or not _is_storable(last_key):
        raise _not_of_this_list()
    return last_key


def read_place(token: str, query: str, read: Callable[[str], _Place]) -> _Place | None:
    """Return what `read` makes of the key before a page, None for the first page.

    Tokens are not signed: `read` may raise ValueError, TypeError, OverflowError or RecursionError.
    Raises InvalidParameter then, and for the token of another list.
    """
    last_key = read_token(token, query)
    if not last_key:
        return None
    try:
        return read(last_key)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _not_of_this_list() from error


def _not_of_this_list() -> InvalidParameter:
    return InvalidParameter.at("query", "page_token", "is not a page token of this list")


def _is_storable(text: str) -> bool:
    """Whether databases accept the text: PostgreSQL refuses NUL, every driver lone surrogates."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def searchable(text: str) -> str:
    """Return a text that databases can be asked for; raises a fault for any other."""
    if not _is_storable(text):
        raise fault("control characters are not allowed")
    return text


TextQuery = Annotated[
    str,
    Query(max_length=200, description="Text that the name, an alias or the description contains."),
    AfterValidator(searchable),
]
