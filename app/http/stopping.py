"""Middleware that answers requests properly while the service stops."""

from collections.abc import Collection

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.lifecycle.drain import Drain, ShuttingDown
from app.problems import problem_of

_CLOSE = (b"connection", b"close")


class Stopping:
    """Middleware: refuses new requests when the drain is closed, and ends the others at its end.

    Both are answered with the problem of ShuttingDown. An answer that has begun is not cut off
    here. While the service stops, every answer closes its connection. `open_paths` are answered to
    the end.
    """

    def __init__(self, app: ASGIApp, *, drain: Drain, open_paths: Collection[str] = ()) -> None:
        self._app = app
        self._drain = drain
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_last(message: Message) -> None:
            if self._drain.is_stopping and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        if scope["path"] in self._open_paths:
            await self._app(scope, receive, send_last)
            return
        try:
            await self._answer(scope, receive, send_last)
        except ShuttingDown as error:
            await problem_of(Request(scope), error)(scope, receive, send_last)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._drain.request(), self._drain.work() as work:

            async def send_whole(message: Message) -> None:
                self._drain.keep(work)
                await send(message)

            await self._app(scope, receive, send_whole)
