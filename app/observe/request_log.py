"""Middleware that identifies, times, counts and logs each request."""

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
# what proxies log for a client that hung up; it is never sent
_CLIENT_GONE = 499


class RequestLog:
    """Middleware: request ids, one log line per request, metrics, and 500 for unexpected errors.

    Logs the route and never the query, a header or a file's name: they are the caller's. Answers
    of `quiet_paths`, which are asked every few seconds for years, are logged as debug.
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
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with collect_timings() as timings:
            await self._observe(scope, receive, send, timings)

    async def _observe(self, scope: Scope, receive: Receive, send: Send, timings: Timings) -> None:
        request = Request(scope)
        given = request.headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        request.state.request_id = request_id
        log = self._log.bind(request_id=request_id)
        status = 0

        async def answer(message: Message) -> None:
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
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            status = status or _CLIENT_GONE
        except Exception:  # the last place to log what nobody expected
            log.exception("request_failed")
            if status:
                raise
            await internal_problem(request)(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", None)
            code = getattr(request.state, "problem_code", None)
            seconds = time.perf_counter() - started
            self._metrics.end_request(
                scope["method"], route, status, code, seconds, timings.seconds
            )
            if self._tracing is not None:
                self._tracing.end_request(timings.intervals)
            say = log.debug if scope["path"] in self._quiet_paths else log.info
            say(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                code=code,
                seconds=round(seconds, 4),
                stages={name: round(s, 4) for name, s in timings.seconds.items()},
            )
