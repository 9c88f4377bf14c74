"""Middleware that checks Host and Origin, so that other web pages can neither read nor write.

Without API keys, every client that reaches the port may use the service, and a browser sends
requests for any page that it has open. Origin stops direct requests. Host stops DNS rebinding,
where the host name of the page is made to resolve to this machine.
"""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import HostNotAllowed, OriginNotAllowed
from app.problems import problem

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_DEFAULT_PORTS = {"http": 80, "https": 443}


class OriginGuard:
    """Middleware: refuses hosts that are not allowed, and writes from origins that are not."""

    def __init__(
        self, app: ASGIApp, *, allowed_hosts: Sequence[str], allowed_origins: Sequence[str]
    ) -> None:
        self._app = app
        self._allowed_hosts = tuple(allowed_hosts)
        self._allowed_origins = frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        if scope["type"] == "http":
            try:
                self._check(scope["method"], Headers(scope=scope))
            except (HostNotAllowed, OriginNotAllowed) as refusal:
                response = problem(Request(scope), refusal.code, str(refusal))
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, method: str, headers: Headers) -> None:
        host = headers.get("host", "").lower()
        if not self._is_allowed_name(_hostname(f"//{host}")):
            raise HostNotAllowed("add the host name to KINOLEX_ALLOWED_HOSTS to allow it")
        origin = headers.get("origin", "").lower()
        if method in _SAFE_METHODS or not origin or origin in self._allowed_origins:
            return
        if not _is_same_origin(origin, host):
            raise OriginNotAllowed("add the page's origin to KINOLEX_ALLOWED_ORIGINS to allow it")

    def _is_allowed_name(self, name: str) -> bool:
        # DNS rebinding needs a host name; an IP address is safe
        if name == "localhost" or name.endswith(".localhost") or _is_address(name):
            return True
        return any(
            allowed in ("*", name) or (allowed.startswith("*.") and name.endswith(allowed[1:]))
            for allowed in self._allowed_hosts
        )


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_same_origin(origin: str, host: str) -> bool:
    """Whether the page comes from the host of the request; a proxy may have removed TLS."""
    try:
        page, us = urlsplit(origin), urlsplit(f"{urlsplit(origin).scheme}://{host}")
        default = _DEFAULT_PORTS.get(page.scheme)
        return (
            default is not None
            and page.hostname == us.hostname
            and (page.port or default) == (us.port or default)
        )
    except ValueError:
        return False
