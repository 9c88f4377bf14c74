"""Functions on HTTP requests: media type, length, body limit, disconnection of the client."""

import asyncio
import ipaddress
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

JSON_TYPE = "application/json"
# An exabyte, which is over every limit.
_MOST_BYTES = 10**18
_LIMIT_LIFTED = "kinolex.body_limit_lifted"


def media_type(request: Request) -> str:
    """Return Content-Type in lower case, without parameters; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def announced_bytes(request: Request) -> int:
    """Return the value of Content-Length, at most _MOST_BYTES; 0 if it is missing or no number."""
    value = request.headers.get("content-length", "").lstrip("0")
    if not (value.isascii() and value.isdecimal()):
        return 0
    # int() refuses numbers of thousands of digits
    return int(value) if len(value) < len(str(_MOST_BYTES)) else _MOST_BYTES


def client_of(request: Request) -> str:
    """Return the client's address, of IPv6 the network of 64 bits that one customer gets."""
    host = request.client.host if request.client is not None else ""
    try:
        return str(ipaddress.ip_network(f"{host}/64", strict=False)) if ":" in host else host
    except ValueError:
        return host


def lift_body_limit(request: Request) -> None:
    """Lift the limit of the `BodyLimit` middleware: the caller counts this request's bytes."""
    request.scope[_LIMIT_LIFTED] = True


def is_body_limit_lifted(scope: Scope) -> bool:
    """Whether `lift_body_limit` was called for the request of this ASGI scope."""
    return _LIMIT_LIFTED in scope


@asynccontextmanager
async def cancel_on_disconnect(request: Request) -> AsyncGenerator[None]:
    """Cancel the block when the client disconnects, and raise ClientDisconnect.

    The request's body must have been received before.
    """

    async def watch(scope: anyio.CancelScope) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    with anyio.CancelScope() as scope:
        # not a task group, which wraps what the block raises
        watcher = asyncio.create_task(watch(scope))
        try:
            yield
        finally:
            watcher.cancel()
    if scope.cancelled_caught:
        raise ClientDisconnect
