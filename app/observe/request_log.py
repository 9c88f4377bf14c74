"""What can be seen from outside: request ids, times per stage, one log line per request."""

import logging
import re
import sys
import time
import uuid
from collections.abc import Collection, Generator
from contextlib import contextmanager
from typing import Literal, TextIO

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from app.observe.metrics import Metrics
from app.observe.tracing import Tracing
from app.problems import internal_problem

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# what proxies log for a client that hung up; it is never sent
_CLIENT_GONE = 499
# A film has hundreds of turns; a trace needs no more of them.
_MOST_INTERVALS = 500


def make_logger(
    level: str, log_format: Literal["auto", "json", "console"], stream: TextIO | None = None
) -> FilteringBoundLogger:
    """A structured logger of its own on `stream` or stderr; nothing global is configured."""
    stream = stream or sys.stderr
    is_console = log_format == "console" or (log_format == "auto" and stream.isatty())
    shape: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if is_console
        # as text: structured tracebacks, and rich's, print locals with the caller's headers
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *shape,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
    )
    return logger


class Stopwatch:
    """Seconds spent in each stage of one request, in the order in which stages began.

    `intervals` are the first few hundred stays in a stage with begin and end, in nanoseconds of
    the wall clock.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.intervals: list[tuple[str, int, int]] = []

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        """Adds the block's time to a stage."""
        began, started = time.time_ns(), time.perf_counter()
        self.seconds.setdefault(name, 0.0)
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[name] += spent
            if len(self.intervals) < _MOST_INTERVALS:
                self.intervals.append((name, began, began + round(spent * 1e9)))

    def server_timing(self) -> str:
        """The value of a Server-Timing header (milliseconds)."""
        return ", ".join(f"{name};dur={1000 * s:.1f}" for name, s in self.seconds.items())


class RequestLog:
    """Gives each request an id and a stopwatch, logs and counts it, and turns what nobody
    expected into 500.

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
        request = Request(scope)
        given = request.headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        watch = Stopwatch()
        request.state.request_id = request_id
        request.state.stopwatch = watch
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
                if watch.seconds:
                    headers.append((b"server-timing", watch.server_timing().encode()))
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
            self._metrics.end_request(scope["method"], route, status, code, seconds, watch.seconds)
            if self._tracing is not None:
                self._tracing.end_request(watch.intervals)
            say = log.debug if scope["path"] in self._quiet_paths else log.info
            say(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                code=code,
                seconds=round(seconds, 4),
                stages={name: round(s, 4) for name, s in watch.seconds.items()},
            )
