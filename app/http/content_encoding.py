"""Middleware that refuses compressed bodies, which could unpack to any size."""

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import UnsupportedMediaType
from app.problems import problem


class PlainBodies:
    """Middleware: answers 415 to a body with a Content-Encoding other than `identity`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        if scope["type"] != "http" or not (encoding := _encoding(Headers(scope=scope))):
            await self._app(scope, receive, send)
            return
        response = problem(
            Request(scope),
            UnsupportedMediaType.code,
            f"send the body as it is, without the Content-Encoding {encoding:.40}",
            headers={"Accept-Encoding": "identity"},
        )
        await response(scope, receive, send)


def _encoding(headers: Headers) -> str:
    """Return the encodings other than `identity`, in lower case; empty if there are none."""
    named = [
        each.strip().lower() for each in ",".join(headers.getlist("content-encoding")).split(",")
    ]
    return ", ".join(each for each in named if each not in ("", "identity"))
