"""Routes for the service itself: health, readiness, metrics, the model, and the page."""

from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from anyio import to_thread
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

from app.routes.addressing import known_parameters
from app.routes.dependencies import AccessDep, MetricsDep, StateDep, StoreDep
from app.routes.schemas.system import ReadyStatus, RunningModel, Status
from app.store import DEFAULT_SET, StoreUnavailable

router = APIRouter(tags=["system"])

PROBE_PATHS = ("/healthz", "/readyz", "/metrics")
# Their answers are the same for everybody: a probe may read them under any host name.
OPEN_PATHS = ("/", "/healthz", "/readyz")
WEB = Path(__file__).resolve().parent.parent / "web"

# The page loads its own files only, plays a video that the visitor chose, and cannot be framed.
_PAGE_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
_PAGE_HEADERS = {
    "Content-Security-Policy": _PAGE_POLICY,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def mount_page_files(app: FastAPI) -> None:
    """Serve the scripts and styles of the pages: ours under /static, Swagger UI's beside them."""
    # a package that carries Swagger UI; no page loads a script from another host
    swagger = files("fastapi_offline").joinpath("static")
    app.mount("/static/swagger", StaticFiles(directory=str(swagger)), name="swagger")
    app.mount("/static", GZipMiddleware(StaticFiles(directory=WEB)), name="static")


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """Returns the page where a person drops a video."""
    return FileResponse(WEB / "index.html", headers=_PAGE_HEADERS)


@router.get("/docs", include_in_schema=False)
async def reference() -> FileResponse:
    """Returns the page that describes the API and tries its calls."""
    return FileResponse(WEB / "docs.html", headers=_PAGE_HEADERS)


@router.get("/openapi.json", include_in_schema=False, dependencies=[Depends(known_parameters)])
async def openapi(request: Request) -> JSONResponse:
    """Returns the description of the API for programs."""
    return JSONResponse(request.app.openapi())


@router.get(
    "/healthz",
    name="get_health",
    summary="Check that the process is alive",
    dependencies=[Depends(known_parameters)],
)
async def healthz() -> Status:
    """Answers 200 while the event loop runs."""
    return Status()


@router.get(
    "/readyz",
    name="get_readiness",
    summary="Check that videos can be tagged",
    response_model_exclude_none=True,
    dependencies=[Depends(known_parameters)],
)
async def readyz(state: StateDep) -> ReadyStatus:
    """Answers 503 while videos cannot be tagged, with the reason, and else 200.

    `limitations` says what else the service cannot do at the moment, such as store labels.
    """
    return ReadyStatus.of(await state["readiness"].check())


@router.get(
    "/metrics",
    name="get_metrics",
    summary="Read metrics for Prometheus",
    response_class=PlainTextResponse,
    dependencies=[Depends(known_parameters)],
)
async def read_metrics(request: Request, metrics: MetricsDep, store: StoreDep) -> Response:
    """Returns counts and times of requests and stages, in a text format of Prometheus."""
    # the other metrics are still needed when the database is down
    with suppress(StoreUnavailable):
        state = await to_thread.run_sync(store.state, DEFAULT_SET)
        metrics.note_labels(state.name, state.revision, state.size)
    accept = request.headers.get("accept", "")
    page, content_type = await to_thread.run_sync(metrics.page, accept)
    return Response(page, headers={"Content-Type": content_type})


@router.get(
    "/model",
    name="get_model",
    summary="Read the running model",
    dependencies=[Depends(known_parameters)],
)
async def running_model(state: StateDep, access: AccessDep) -> RunningModel:
    """Returns the checkpoint, its sampling and runtime, who may use it, what protects decoding."""
    return RunningModel.running(
        state["tagger"],
        await access.mode(),
        state["sandbox"],
        max_upload_bytes=state["settings"].max_upload_bytes,
    )
