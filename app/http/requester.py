"""Middleware that says whose work a request is."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.fairness.requesters import Requester, as_requester
from app.requests import client_of


class AsRequester:
    """Middleware: work for a request is queued under its API key, or its address without one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with as_requester(Requester(_name(Request(scope)))):
            await self._app(scope, receive, send)


def _name(request: Request) -> str:
    """Return the id of the request's API key, or without a key the client's address."""
    # Set by `app.access.gate`, which sees the request before.
    grant = getattr(request.state, "grant", None)
    return client_of(request) if grant is None or grant.key is None else f"key {grant.key.id}"
