"""Bodies that nobody wants: text over its limit, and the rest of a refused upload."""

import re
from collections.abc import Mapping

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.requests import JSON_TYPE, announced_bytes, media_type

_LINGER_SECONDS = 0.5


class BodyLimit:
    """Refuses bodies over `max_bytes` with 413; media types in `max_bytes_of` have their own limit.

    Addresses that `streaming_paths` matches count for themselves, but for JSON.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        max_bytes_of: Mapping[str, int],
        streaming_paths: re.Pattern[str],
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_bytes_of = max_bytes_of
        self._streaming_paths = streaming_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        sent_as = media_type(request)
        if sent_as != JSON_TYPE and self._streaming_paths.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        received = 0
        announced = announced_bytes(request)
        most = self._max_bytes_of.get(sent_as, self._max_bytes)

        async def count() -> Message:
            nonlocal received
            if announced <= most:
                message = await receive()
                received += len(message.get("body", b""))
                if received <= most:
                    return message
            # FastAPI turns every other exception from a body into a 400 of its own
            raise HTTPException(413, f"a body may have {most} bytes, this one has more")

        await self._app(scope, count, send)


class EarlyAnswer:
    """Closes the connection after an answer that comes before the body's end.

    Otherwise the server would read the rest, however long, to find the next request. The rest is
    read for a moment first: closing a socket with unread bytes resets the connection, and the
    client could lose the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Request(scope).headers
        has_body = announced_bytes(Request(scope)) > 0 or "transfer-encoding" in headers
        # a client that waits for "100 Continue" sends nothing once it has its answer
        is_sending = "expect" not in headers

        async def watch() -> Message:
            nonlocal has_body, is_sending
            is_sending = True
            message = await receive()
            has_body = has_body and message.get("more_body", False)
            return message

        async def answer(message: Message) -> None:
            if not has_body:
                await send(message)
            elif message["type"] == "http.response.start":
                close = (b"connection", b"close")
                await send({**message, "headers": [*message.get("headers", ()), close]})
            elif message.get("more_body", False) or not is_sending:
                await send(message)
            else:
                await send({**message, "more_body": True})
                with anyio.move_on_after(_LINGER_SECONDS):
                    while (await receive()).get("more_body", False):
                        pass
                await send({"type": "http.response.body"})

        await self._app(scope, watch, answer)
