"""Dependencies of routes: typed access to the parts that the lifespan opened.

All are coroutines, because FastAPI would run each plain function in a thread.
"""

from typing import Annotated, TypedDict, cast

import anyio
from fastapi import Depends, Request
from starlette.types import ASGIApp

from app.access.access import Access
from app.access.grants import Grant
from app.archive.kept_videos import KeptVideos
from app.archive.queries import Queries
from app.archive.search import ArchiveSearch
from app.decode.sandbox.report import Sandbox
from app.jobs.runner import JobRunner
from app.jobs.webhooks import WebhookSender
from app.lifecycle.drain import Drain
from app.observe.metrics import Metrics
from app.readiness import Readiness
from app.service import TaggingService
from app.settings import Settings
from app.store import LabelStore
from app.store.jobs import AlertStore, JobStore
from app.upload.admission import Admission
from model import Tagger


class State(TypedDict):
    """The parts that live as long as the app."""

    settings: Settings
    tagger: Tagger
    store: LabelStore
    admission: Admission
    service: TaggingService
    videos: KeptVideos
    jobs: JobStore
    alerts: AlertStore
    job_runner: JobRunner
    webhooks: WebhookSender
    queries: Queries
    search: ArchiveSearch
    metrics: Metrics
    sandbox: Sandbox
    warm: anyio.Event
    drain: Drain
    readiness: Readiness
    access: Access


class AppState(State):
    """The state of the app that answers HTTP; `mcp` is None where its package is missing."""

    mcp: ASGIApp | None


class RequestState(AppState):
    """The state as a request sees it, with the request's id and what it may do."""

    request_id: str
    grant: Grant


async def _state(request: Request) -> RequestState:
    return cast(RequestState, request.scope["state"])


async def _settings(state: "StateDep") -> Settings:
    return state["settings"]


async def _tagger(state: "StateDep") -> Tagger:
    return state["tagger"]


async def _store(state: "StateDep") -> LabelStore:
    return state["store"]


async def _metrics(state: "StateDep") -> Metrics:
    return state["metrics"]


async def _grant(state: "StateDep") -> Grant:
    return state["grant"]


async def _access(state: "StateDep") -> Access:
    return state["access"]


# Routes for videos use the whole state: FastAPI needs more time to resolve seven dependencies than
# the store needs to read a label.
StateDep = Annotated[RequestState, Depends(_state)]
SettingsDep = Annotated[Settings, Depends(_settings)]
TaggerDep = Annotated[Tagger, Depends(_tagger)]
StoreDep = Annotated[LabelStore, Depends(_store)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
GrantDep = Annotated[Grant, Depends(_grant)]
AccessDep = Annotated[Access, Depends(_access)]
