"""Middleware that says whose work a request is."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.fairness.requesters import Requester, as_requester
from app.requests import client_of


class AsRequester:
    """Middleware: work for a request is queued under its client."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with as_requester(Requester(client_of(Request(scope)))):
            await self._app(scope, receive, send)
