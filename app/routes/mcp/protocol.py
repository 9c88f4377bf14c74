"""The Model Context Protocol through the package `mcp`: old versions with a handshake, and 2026.

Imported at the first request, and only where the extra `mcp` is installed.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, cast

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from starlette.types import ASGIApp

from app.routes.dependencies import RequestState
from app.routes.mcp.tools import TOOLS, Tool
from model import KinolexError

_INSTRUCTIONS = (
    "Kinolex names what happens in videos. Ask `classify` about one video, with labels in your own "
    "words, and `search` for moments in all kept videos. Scores are probabilities; where "
    "`unknown.is_unknown` is true, none of the labels applies."
)
# What a client may keep of the list of tools, which changes with the version of the service.
_TOOLS_TTL_MS = 3_600_000


@asynccontextmanager
async def running_protocol(max_body_bytes: int) -> AsyncGenerator[ASGIApp]:
    """Serve the protocol for the block.

    Every request stands for itself, so that any process can answer it.
    """
    server: Server[Any] = Server(
        "kinolex",
        version=version("kinolex"),
        title="Kinolex",
        instructions=_INSTRUCTIONS,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
    )
    # answers may be streams: they keep a slow call's connection alive, and end the call with it
    manager = StreamableHTTPSessionManager(
        server, stateless=True, max_request_body_size=max_body_bytes
    )
    async with manager.run():
        yield manager.handle_request


async def _list_tools(
    context: ServerRequestContext[Any], asked: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    return types.ListToolsResult(
        tools=[_described(tool) for tool in TOOLS.values()],
        ttl_ms=_TOOLS_TTL_MS,
        cache_scope="public",
    )


async def _call_tool(
    context: ServerRequestContext[Any], asked: types.CallToolRequestParams
) -> types.CallToolResult:
    tool = TOOLS.get(asked.name)
    if tool is None:
        names = ", ".join(TOOLS)
        raise MCPError(types.INVALID_PARAMS, f"no tool is named so; the tools are {names}")
    assert context.request is not None  # every request comes by HTTP
    state = cast(RequestState, context.request.scope["state"])
    try:
        answer = await tool.run(state, asked.arguments or {})
    except KinolexError as error:
        text = f"{error.code}: {error}"
        return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True)
    return types.CallToolResult(
        content=[types.TextContent(text=answer.model_dump_json())],
        structured_content=answer.model_dump(mode="json"),
    )


def _described(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.arguments.model_json_schema(),
        output_schema=tool.answer.model_json_schema(mode="serialization"),
        annotations=types.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.is_read_only,
            destructive_hint=not tool.is_read_only,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )
