"""Answers errors with problem documents (RFC 9457) instead of FastAPI's and Starlette's bodies."""

import errno
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette._utils import get_route_path  # the router's own, so that both read one path
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.errors import KINDS, Fault, InvalidParameter, ResourcesExhausted
from model import KinolexError

PROBLEM_TYPE = "application/problem+json"
# OpenAPI description of every error response.
PROBLEM_RESPONSE: dict[str, Any] = {
    "description": "A problem document (RFC 9457). `code` is stable; the texts may change.",
    "content": {
        PROBLEM_TYPE: {
            "schema": {
                "type": "object",
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "code": {"type": "string", "enum": sorted(KINDS)},
                    "request_id": {"type": "string"},
                    "errors": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "detail": {"type": "string"},
                                "pointer": {"type": "string"},
                                "in": {"type": "string"},
                            },
                            "required": ["detail", "pointer", "in"],
                        },
                    },
                },
                "required": ["type", "title", "status", "detail", "code", "request_id"],
            }
        }
    },
}

_EXHAUSTED = {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN}
_CODE_OF_STATUS = {
    400: "malformed_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "upload_too_large",
    415: "unsupported_media_type",
    422: "invalid_parameter",
    503: "not_ready",
}


def problem(
    request: Request,
    code: str,
    detail: str,
    *,
    faults: Sequence[Fault] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the problem document for a code of KINDS; notes the code in the request's state."""
    request.state.problem_code = code
    request_id = getattr(request.state, "request_id", "")
    return Response(
        problem_document(code, detail, request_id, faults),
        KINDS[code].status,
        headers,
        media_type=PROBLEM_TYPE,
    )


def problem_document(
    code: str, detail: str, request_id: str = "", faults: Sequence[Fault] = ()
) -> bytes:
    """Return the JSON of a problem document for a code of KINDS."""
    kind = KINDS[code]
    body: dict[str, object] = {
        "type": f"urn:kinolex:problem:{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    if faults:
        body["errors"] = [
            {"detail": fault.detail, "pointer": fault.pointer, "in": fault.part} for fault in faults
        ]
    # ASCII only: a lone surrogate from the client's JSON has no UTF-8 form
    return json.dumps(body).encode("ascii")


def internal_problem(request: Request) -> Response:
    """Return the problem document for an unexpected exception, without its details."""
    return problem(
        request,
        "internal_error",
        "the service failed; its log has the details under this request id",
    )


def install_problems(app: FastAPI) -> None:
    """Register handlers that answer every expected error of the app with a problem document."""
    app.add_exception_handler(KinolexError, _on_kinolex_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(MemoryError, _on_exhaustion)
    app.add_exception_handler(OSError, _on_exhaustion)


async def _on_kinolex_error(request: Request, error: Exception) -> Response:
    return problem_of(request, error)


def problem_of(request: Request, error: Exception) -> Response:
    """Return the problem document for an expected error; re-raises it if KINDS lacks its code."""
    code = getattr(error, "code", "")
    if code not in KINDS:
        raise error
    retry_after = getattr(error, "retry_after_seconds", None)
    if retry_after is None and KINDS[code].status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after = 1
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return problem(request, code, str(error), faults=getattr(error, "faults", ()), headers=headers)


async def _on_exhaustion(request: Request, error: Exception) -> Response:
    if isinstance(error, OSError) and error.errno not in _EXHAUSTED:
        raise error
    return problem_of(
        request,
        ResourcesExhausted("no memory or file descriptors are left; try again later"),
    )


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODE_OF_STATUS.get(error.status_code)
    if code is None:
        raise error
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods_of(request))
    return problem(request, code, error.detail, headers=headers)


def _methods_of(request: Request) -> list[str]:
    """Return all methods of the request's address; Starlette names those of one route only."""
    path = get_route_path(request.scope)
    methods = {
        method
        for route in iter_route_contexts(request.app.routes)
        if route.path_regex.match(path)
        for method in route.methods or ()
    }
    # `app.http.head_requests` answers it wherever there is GET
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    findings = error.errors()
    if any(found["type"] == "json_invalid" for found in findings):
        return problem(request, "malformed_request", "the body is not valid JSON")
    invalid = InvalidParameter.of(findings)
    return problem(request, invalid.code, str(invalid), faults=invalid.faults)
