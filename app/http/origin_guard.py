"""Middleware that checks Host and Origin, so that other web pages can neither read nor write.

Without API keys, every client that reaches the port may use the service, and a browser sends
requests for any page that it has open. Origin stops direct requests. Host stops DNS rebinding,
where the host name of the page is made to resolve to this machine.
"""

import ipaddress
import re
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import HostNotAllowed, MalformedRequest, OriginNotAllowed
from app.problems import problem

_PROBE_METHODS = {"GET", "HEAD"}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 3986, section 3.2.2, without percent-encoding and the marks that no host name has.
_HOST = re.compile(r"([A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")


class OriginGuard:
    """Middleware: refuses hosts that are not allowed, and writes from origins that are not.

    Reads of `open_paths`, which probes of load balancers use, may have any host or none.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: Sequence[str],
        allowed_origins: Sequence[str],
        open_paths: Collection[str] = (),
    ) -> None:
        self._app = app
        self._open_paths = frozenset(open_paths)
        self._allowed_hosts = tuple(allowed_hosts)
        self._allowed_origins = frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        if scope["type"] == "http":
            try:
                self._check(scope, Headers(scope=scope))
            except (MalformedRequest, HostNotAllowed, OriginNotAllowed) as refusal:
                response = problem(Request(scope), refusal.code, str(refusal))
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        method, host = scope["method"], _only_host(headers)
        is_probe = method in _PROBE_METHODS and scope["path"] in self._open_paths
        if not is_probe and not self._is_allowed_name(_hostname(f"//{host}")):
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


def _only_host(headers: Headers) -> str:
    """Return Host in lower case; empty if there is none. Raises MalformedRequest.

    Two of them, or one that is not a host, may mean another host to a proxy than to this service.
    """
    hosts = headers.getlist("host")
    if len(hosts) > 1:
        raise MalformedRequest("the request has more than one Host header")
    host = hosts[0].lower() if hosts else ""
    if not _HOST.fullmatch(host):
        raise MalformedRequest("the Host header is not a host name with an optional port")
    return host


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
