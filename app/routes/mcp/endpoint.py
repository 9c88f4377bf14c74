"""The route `/mcp`, which says what to install where the package `mcp` is missing."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from typing import TypeAlias

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup, TaskStatus
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import InvalidParameter

_Open: TypeAlias = Callable[[int], AbstractAsyncContextManager[ASGIApp]]


@asynccontextmanager
async def open_mcp(max_body_bytes: int) -> AsyncGenerator[ASGIApp | None]:
    """Serve the protocol for the block; None: the extra `mcp` is not installed."""
    if find_spec("mcp") is None:
        yield None
        return
    async with anyio.create_task_group() as group:
        yield _AtFirstRequest(group, max_body_bytes)
        group.cancel_scope.cancel()


class _AtFirstRequest:
    """The protocol, which the first request loads and opens in the task group.

    Its imports take half a second and 27 MB, which a service without such a client does without.
    """

    def __init__(self, group: TaskGroup, max_body_bytes: int) -> None:
        self._group = group
        self._max_body_bytes = max_body_bytes
        self._opening = anyio.Lock()
        self._answer: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._opening:
            if self._answer is None:
                running_protocol = await to_thread.run_sync(_load_protocol)
                opened = running_protocol(self._max_body_bytes)
                self._answer = await self._group.start(_serve, opened)
        await self._answer(scope, receive, send)


def _load_protocol() -> _Open:
    from app.routes.mcp.protocol import running_protocol

    return running_protocol


async def _serve(
    opened: AbstractAsyncContextManager[ASGIApp], *, task_status: TaskStatus[ASGIApp]
) -> None:
    async with opened as answer:
        task_status.started(answer)
        await anyio.sleep_forever()


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
