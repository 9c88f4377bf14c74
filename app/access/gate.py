"""Middleware that checks every request before its body is read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.errors import KeyNotValid, KeyRequired, ScopeMissing
from app.access.meter import charged_to
from app.access.rate_headers import rate_headers
from app.access.rules import Guard, Passage, passage
from app.problems import problem_of
from app.requests import JSON_TYPE, media_type
from app.store import DEFAULT_SET
from model import KinolexError

if TYPE_CHECKING:
    from app.access.access import Access
    from app.access.grants import Grant


class Gate:
    """Middleware: answers 401, 403 or 429, or passes the request on with its `grant`.

    The part `access` of the app's state decides; the grant becomes `request.state.grant`.
    """

    def __init__(self, app: ASGIApp, *, guards: Sequence[Guard]) -> None:
        self._app = app
        self._guards = tuple(guards)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        access: Access = scope["state"]["access"]
        grant: Grant | None = None

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start" and grant is not None and grant.pools:
                limits = rate_headers(access.quotas.states(grant.pools))
                message = {**message, "headers": [*message.get("headers", ()), *limits]}
            await send(message)

        found = passage(scope, self._guards)
        try:
            grant = await access.grant(request, found.rule)
            await _check(request, found, grant, access)
        except KinolexError as refusal:
            response = problem_of(request, refusal)
            _challenge(response.headers, refusal, found)
            await response(scope, receive, send_with_limits)
            return
        request.state.grant = grant
        with charged_to(access.quotas, grant.pools):
            await self._app(scope, receive, send_with_limits)


async def _check(request: Request, found: Passage, grant: "Grant", access: "Access") -> None:
    rule = found.rule
    if rule.names_set:
        grant.check_label_set(found.path_params.get("label_set", DEFAULT_SET))
    await access.quotas.take_request(grant.pools)
    # texts to embed are sent to the same address as videos
    if rule.takes_video and media_type(request) != JSON_TYPE:
        await access.quotas.require_video(grant.pools)


def _challenge(headers: MutableHeaders, refusal: KinolexError, found: Passage) -> None:
    """Add WWW-Authenticate (RFC 6750, section 3), which says what kind of key is missing."""
    if isinstance(refusal, KeyRequired):
        headers["WWW-Authenticate"] = "Bearer"
    elif isinstance(refusal, KeyNotValid):
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    elif isinstance(refusal, ScopeMissing):
        scope = found.rule.scope
        headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{scope}"'
