"""Revisions of label sets as entity tags: conditional requests (RFC 9110, section 13.1)."""

import re

from starlette.requests import Request
from starlette.responses import Response

from app.errors import MalformedRequest, ServiceError
from app.store import Condition

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


class PreconditionRequired(ServiceError):
    """The write requires If-Match or If-None-Match."""

    code = "precondition_required"


def etag(revision: int) -> str:
    """Return the strong entity tag of a revision."""
    return f'"{revision}"'


def read_condition(request: Request) -> Condition:
    """Read a write's condition from `If-Match` and `If-None-Match`. Raises MalformedRequest."""
    match = request.headers.get("if-match")
    none_match = request.headers.get("if-none-match")
    if none_match is not None and none_match.strip() != "*":
        raise MalformedRequest("If-None-Match must be * in a write")
    return Condition(
        revisions=None if match is None else "*" if match.strip() == "*" else _revisions(match),
        must_be_new=none_match is not None,
    )


def require_condition(request: Request) -> Condition:
    """Read a write's condition; raises PreconditionRequired if there is none, MalformedRequest."""
    condition = read_condition(request)
    if condition.is_empty:
        raise PreconditionRequired(
            "send If-Match with the ETag of the label set to replace it, or If-None-Match: * to "
            "create it"
        )
    return condition


def is_known(request: Request, revision: int) -> bool:
    """Whether `If-None-Match` of a GET says that the client has this revision."""
    header = request.headers.get("if-none-match", "")
    # weak comparison: a proxy that compresses makes tags weak
    return header.strip() == "*" or any(tag == str(revision) for _, tag in _TAG.findall(header))


def unchanged(revision: int) -> Response:
    """Return the response 304 for a client that has this revision."""
    return Response(status_code=304, headers={"ETag": etag(revision)})


def _revisions(header: str) -> frozenset[int]:
    tags: list[tuple[str, str]] = _TAG.findall(header)
    if not tags:
        raise MalformedRequest("If-Match must be * or entity tags in double quotes")
    # strong comparison: a weak tag never matches; a tag that is not a number is not a revision
    return frozenset(
        int(tag) for weak, tag in tags if not weak and re.fullmatch(r"[0-9]{1,18}", tag)
    )
