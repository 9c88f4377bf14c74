"""Middleware that limits the size of bodies, and closes connections after early answers."""

from collections.abc import Mapping

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import UploadTooLarge
from app.requests import announced_bytes, is_body_limit_lifted, media_type

_DRAIN_SECONDS = 0.5
_CLOSE = (b"connection", b"close")


class BodyLimit:
    """Middleware: refuses a body over `max_bytes` with 413.

    `max_bytes_of` has the limits of some media types. A route that counts the bytes itself calls
    `lift_body_limit` before it reads the body.
    """

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, max_bytes_of: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_bytes_of = max_bytes_of or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        max_bytes = self._max_bytes_of.get(media_type(request), self._max_bytes)
        announced = announced_bytes(request)
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            if is_body_limit_lifted(scope):
                return await receive()
            if announced <= max_bytes:
                message = await receive()
                received += len(message.get("body", b""))
                if received <= max_bytes:
                    return message
            # an HTTPException: FastAPI answers 400 to any other exception while it reads a body
            raise HTTPException(413, str(UploadTooLarge.over(max_bytes)))

        await self._app(scope, receive_counted, send)


class EarlyAnswer:
    """Middleware: closes the connection after an answer that is sent before the body has ended.

    Otherwise the server would read the rest of the body, however long, to find the next request.
    The rest is read for half a second first: closing a socket with unread bytes resets the
    connection, and the client could lose the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        is_incomplete = announced_bytes(request) > 0 or "transfer-encoding" in request.headers
        # a client that waits for "100 Continue" sends no body once it has its answer
        is_sending = "expect" not in request.headers

        async def receive_noted() -> Message:
            nonlocal is_incomplete, is_sending
            is_sending = True
            message = await receive()
            is_incomplete = is_incomplete and message.get("more_body", False)
            return message

        async def send_and_close(message: Message) -> None:
            if not is_incomplete:
                await send(message)
            elif message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if _CLOSE not in headers:
                    headers.append(_CLOSE)
                await send({**message, "headers": headers})
            elif message.get("more_body", False) or not is_sending:
                await send(message)
            else:
                await send({**message, "more_body": True})
                with anyio.move_on_after(_DRAIN_SECONDS):
                    while (await receive()).get("more_body", False):
                        pass
                await send({"type": "http.response.body"})

        await self._app(scope, receive_noted, send_and_close)
