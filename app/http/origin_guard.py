"""Which hosts and origins are answered: a foreign web page can neither write nor ask.

Until there are keys, whoever reaches the port may use the service. A browser reaches it on behalf
of any page it has open: directly (stopped by Origin), or after the page's own name was pointed at
this machine, so-called DNS rebinding (stopped by Host).
"""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import HostNotAllowed, OriginNotAllowed
from app.problems import problem

_READING = {"GET", "HEAD", "OPTIONS"}
_DEFAULT_PORTS = {"http": 80, "https": 443}


class OriginGuard:
    """Refuses requests under a foreign Host and writing requests of foreign pages."""

    def __init__(
        self, app: ASGIApp, *, allowed_hosts: Sequence[str], allowed_origins: Sequence[str]
    ) -> None:
        self._app = app
        self._allowed_hosts = tuple(allowed_hosts)
        self._allowed_origins = frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
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
        if not self._is_our_name(_hostname(f"//{host}")):
            raise HostNotAllowed("add the name to KINOLEX_ALLOWED_HOSTS to be asked under it")
        origin = headers.get("origin", "").lower()
        if method in _READING or not origin or origin in self._allowed_origins:
            return
        if not _is_same(origin, host):
            raise OriginNotAllowed("add the page's origin to KINOLEX_ALLOWED_ORIGINS to let it in")

    def _is_our_name(self, name: str) -> bool:
        # rebinding needs a name that an attacker can point at us; a number cannot be pointed
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


def _is_same(origin: str, host: str) -> bool:
    """Whether the page came from the host that it asks; a proxy may have taken the TLS off."""
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
