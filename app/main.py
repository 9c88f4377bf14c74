"""The ASGI application: routes, middleware and the lifespan that opens the service."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from structlog.typing import FilteringBoundLogger

from app.access.gate import Gate
from app.access.rules import describe_rules, guards_of
from app.http.body_limits import BodyLimit, EarlyAnswer
from app.http.content_encoding import PlainBodies
from app.http.head_requests import HeadRequests
from app.http.origin_guard import OriginGuard
from app.http.requester import AsRequester
from app.http.security_headers import SecurityHeaders
from app.http.stopping import Stopping
from app.lifecycle.drain import Drain
from app.observe.logger import make_logger
from app.observe.metrics import Metrics
from app.observe.request_log import RequestLog
from app.observe.tracing import Tracing
from app.problems import PROBLEM_RESPONSE, install_problems
from app.routes import alerts, classify, embed, jobs, keys, search, system, videos
from app.routes.access_rules import RULES
from app.routes.addressing import operation_id
from app.routes.dependencies import AppState
from app.routes.integrations import embeddings
from app.routes.labels import labels
from app.routes.mcp.endpoint import McpEndpoint, open_mcp
from app.settings import Settings, metrics_folder, unknown_variables
from app.startup import keep_warm, open_service
from model import KinolexError, Tagger


class Service(FastAPI):
    """The application; its OpenAPI document says which key each operation requires."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            describe_rules(super().openapi(), RULES)
        return super().openapi()


def create_app(
    settings: Settings | None = None,
    *,
    tagger: Tagger | None = None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """Make the application.

    `settings` default to the environment's, `tagger` to the configured checkpoint (loaded when the
    app starts), `tracing` to the configured collector. Raises pydantic's ValidationError for
    invalid settings, and TracingNotInstalled.
    """
    settings = settings or Settings()
    log = make_logger(settings.log_level, settings.log_format)
    metrics = Metrics(metrics_folder())
    drain = Drain()
    if tracing is None and settings.otlp_endpoint:
        tracing = Tracing.to_endpoint(settings.otlp_endpoint)
    app = Service(
        title="Kinolex",
        description="Names what happens in a video, in words you choose, without retraining.",
        version=version("kinolex"),
        lifespan=_lifespan(settings, tagger, log, metrics, tracing, drain),
        responses={"default": PROBLEM_RESPONSE},
        telemetry=tracing.fastapi_settings if tracing else None,
        generate_unique_id_function=operation_id,
        # `system` serves the description of the API and a page of it
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    install_problems(app)
    app.include_router(classify.router)
    app.include_router(embed.router)
    app.include_router(embeddings.router)
    app.include_router(jobs.router)
    app.include_router(videos.router)
    app.include_router(search.router)
    app.include_router(alerts.router)
    app.include_router(labels.router)
    app.include_router(keys.router)
    app.include_router(system.router)
    app.router.routes.append(Route("/mcp", McpEndpoint(), methods=["POST"]))
    system.mount_page_files(app)
    _add_middleware(app, settings, drain)
    # added late, so that it sees requests first
    app.add_middleware(
        RequestLog, log=log, metrics=metrics, tracing=tracing, quiet_paths=system.PROBE_PATHS
    )
    # around the log, which has the route of GET
    app.add_middleware(HeadRequests)
    return app


def _add_middleware(app: FastAPI, settings: Settings, drain: Drain) -> None:
    """Add the middleware; each one wraps those added before it."""
    app.add_middleware(AsRequester)
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_json_bytes,
        max_bytes_of=dict.fromkeys(labels.LINE_TYPES, settings.max_import_bytes),
    )
    app.add_middleware(PlainBodies)
    app.add_middleware(Gate, guards=guards_of(app.routes, RULES))
    # around the gate: a browser sends no key when it asks whether it may send a request
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "If-Match",
                "If-None-Match",
                "MCP-Protocol-Version",
                "Mcp-Method",
                "Mcp-Name",
                "X-Request-ID",
            ],
            expose_headers=[
                "ETag",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "Server-Timing",
                "WWW-Authenticate",
                "X-Request-ID",
            ],
        )
    app.add_middleware(
        OriginGuard,
        allowed_hosts=settings.allowed_hosts,
        allowed_origins=settings.allowed_origins,
        open_paths=system.OPEN_PATHS,
    )
    app.add_middleware(Stopping, drain=drain, open_paths=system.PROBE_PATHS)
    app.add_middleware(EarlyAnswer)
    app.add_middleware(SecurityHeaders)


def _lifespan(
    settings: Settings,
    tagger: Tagger | None,
    log: FilteringBoundLogger,
    metrics: Metrics,
    tracing: Tracing | None,
    drain: Drain,
) -> Callable[[FastAPI], AbstractAsyncContextManager[Any]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[AppState]:
        for sentence in unknown_variables():
            log.warning("unknown_variable", detail=sentence)
        try:
            async with (
                open_service(settings, log, tagger, metrics, drain) as state,
                keep_warm(state, log),
                open_mcp(settings.max_json_bytes) as mcp,
            ):
                yield {**state, "mcp": mcp}
        except KinolexError as error:
            log.error("start_failed", code=error.code, detail=str(error))
            raise
        finally:
            if tracing is not None:
                await to_thread.run_sync(tracing.close)

    return lifespan
