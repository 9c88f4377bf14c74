"""Revisions as entity tags: conditions that a request puts on a label set (RFC 9110, 13.1)."""

import re

from starlette.requests import Request
from starlette.responses import Response

from app.errors import MalformedRequest, ServiceError
from app.store import Condition

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


class PreconditionRequired(ServiceError):
    """A write that could undo somebody else's needs to say which revision it has seen."""

    code = "precondition_required"


def etag(revision: int) -> str:
    """The strong tag of a set at this revision."""
    return f'"{revision}"'


def read_condition(request: Request) -> Condition:
    """What `If-Match` and `If-None-Match: *` ask of a write. Raises MalformedRequest."""
    match = request.headers.get("if-match")
    none_match = request.headers.get("if-none-match")
    if none_match is not None and none_match.strip() != "*":
        raise MalformedRequest("a write takes no If-None-Match but *")
    return Condition(
        revisions=None if match is None else "*" if match.strip() == "*" else _revisions(match),
        must_be_new=none_match is not None,
    )


def require_condition(request: Request) -> Condition:
    """Like `read_condition`, but there must be one. Raises PreconditionRequired."""
    condition = read_condition(request)
    if condition.is_empty:
        raise PreconditionRequired(
            "send If-Match with the set's ETag to replace it, or If-None-Match: * to make it"
        )
    return condition


def is_known(request: Request, revision: int) -> bool:
    """Whether the caller of a GET already has this revision, by its `If-None-Match`."""
    header = request.headers.get("if-none-match", "")
    # a GET may compare weakly: a proxy that compresses makes our tags weak
    return header.strip() == "*" or any(tag == str(revision) for _, tag in _TAG.findall(header))


def unchanged(revision: int) -> Response:
    """The answer to a caller who already has this revision."""
    return Response(status_code=304, headers={"ETag": etag(revision)})


def _revisions(header: str) -> frozenset[int]:
    tags: list[tuple[str, str]] = _TAG.findall(header)
    if not tags:
        raise MalformedRequest("If-Match takes entity tags in double quotes, or *")
    # a weak tag never matches here, nor one that is not ours
    return frozenset(
        int(tag) for weak, tag in tags if not weak and re.fullmatch(r"[0-9]{1,18}", tag)
    )
