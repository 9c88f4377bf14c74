"""Middleware for request ids, the request log, metrics, and 500 for unexpected errors."""

import re
import time
import uuid
from collections.abc import Collection

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from app.observe.metrics import Metrics
from app.observe.timings import Timings, collect_timings
from app.observe.tracing import Tracing
from app.problems import internal_problem

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# The status that proxies log for a client that disconnected; it is never sent.
_CLIENT_DISCONNECTED = 499


class RequestLog:
    """Middleware: sets each request's id, measures the request, and logs one line about it.

    The line has the route, but never the query, a header or a file name, which may be private.
    Requests for `quiet_paths`, which probes send every few seconds, are logged at level debug. An
    unexpected error is logged and answered with 500.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        log: FilteringBoundLogger,
        metrics: Metrics,
        tracing: Tracing | None = None,
        quiet_paths: Collection[str] = (),
    ) -> None:
        self._app = app
        self._log = log
        self._metrics = metrics
        self._tracing = tracing
        self._quiet_paths = frozenset(quiet_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with collect_timings() as timings:
            await self._observe(scope, receive, send, timings)

    async def _observe(self, scope: Scope, receive: Receive, send: Send, timings: Timings) -> None:
        request = Request(scope)
        client_id = request.headers.get("x-request-id", "")
        request_id = client_id if _REQUEST_ID.fullmatch(client_id) else uuid.uuid4().hex
        request.state.request_id = request_id
        log = self._log.bind(request_id=request_id)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
                if timings.seconds:
                    headers.append((b"server-timing", timings.server_timing().encode()))
                message = {**message, "headers": headers}
            await send(message)

        started = time.perf_counter()
        self._metrics.begin_request()
        if self._tracing is not None:
            self._tracing.begin_request(request_id)
        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = status or _CLIENT_DISCONNECTED
        except Exception:  # any error is logged and answered with 500
            log.exception("request_failed")
            if status:
                raise
            await internal_problem(request)(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", None)
            code = getattr(request.state, "problem_code", None)
            seconds = time.perf_counter() - started
            self._metrics.end_request(
                scope["method"], route, status, code, seconds, timings.seconds
            )
            if self._tracing is not None:
                self._tracing.end_request(timings.intervals)
            write_log = log.debug if scope["path"] in self._quiet_paths else log.info
            write_log(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                code=code,
                seconds=round(seconds, 4),
                stages={name: round(s, 4) for name, s in timings.seconds.items()},
            )
