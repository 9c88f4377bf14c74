"""The route `/mcp`, which says what to install where the package `mcp` is missing."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import InvalidParameter


@asynccontextmanager
async def open_mcp(max_body_bytes: int) -> AsyncGenerator[ASGIApp | None]:
    """Serve the protocol for the block; None: the extra `mcp` is not installed."""
    if find_spec("mcp") is None:
        yield None
        return
    # a second of imports, which the command line does without
    from app.routes.mcp.protocol import running_protocol

    async with running_protocol(max_body_bytes) as answer:
        yield answer


class McpEndpoint:
    """Passes requests to the part `mcp` of the app's state, which `open_mcp` opened."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a POST to `/mcp`."""
        request = Request(scope)
        for name in request.query_params:
            raise InvalidParameter.at("query", name, "is not a parameter; there are no parameters")
        answer: ASGIApp | None = request.state.mcp
        if answer is None:
            raise HTTPException(404, "the service has no MCP: pip install --editable '.[mcp]'")
        await answer(scope, receive, send)
