"""What runs here: health, readiness, the model, and the page."""

from contextlib import suppress
from pathlib import Path

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

from app.errors import NotReady
from app.routes.dependencies import IsWarmDep, MetricsDep, StoreDep, TaggerDep
from app.routes.schemas.videos import RunningModel, Status
from app.store import DEFAULT_SET, StoreUnavailable

router = APIRouter(tags=["system"])

PROBE_PATHS = ("/healthz", "/readyz", "/metrics")
WEB = Path(__file__).resolve().parent.parent / "web"

# The page loads its own files only, plays a video that the visitor chose, and is in nobody's frame.
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
    """Serve the page's scripts and styles under /static."""
    app.mount("/static", StaticFiles(directory=WEB), name="static")


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page where one drops a video."""
    return FileResponse(WEB / "index.html", headers=_PAGE_HEADERS)


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Status:
    """Answers as long as the event loop turns."""
    return Status()


@router.get("/readyz", summary="Can videos be tagged?")
async def readyz(is_warm: IsWarmDep) -> Status:
    """503 until the model is loaded and has run once."""
    if not is_warm:
        raise NotReady("the first inference is running")
    return Status()


@router.get("/metrics", summary="Numbers for Prometheus", response_class=PlainTextResponse)
async def read_metrics(request: Request, metrics: MetricsDep, store: StoreDep) -> Response:
    """Requests, refusals, times of stages, queue and label set, in Prometheus's text format."""
    # numbers are wanted most when something is down
    with suppress(StoreUnavailable):
        state = await to_thread.run_sync(store.state, DEFAULT_SET)
        metrics.note_labels(state.name, state.revision, state.size)
    accept = request.headers.get("accept", "")
    page, content_type = await to_thread.run_sync(metrics.page, accept)
    return Response(page, headers={"Content-Type": content_type})


@router.get("/model", summary="Which checkpoint answers?")
async def running_model(tagger: TaggerDep) -> RunningModel:
    """The checkpoint and what it looks at."""
    return RunningModel.of(tagger)
