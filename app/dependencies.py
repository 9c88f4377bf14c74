"""What routes ask for, by name: typed views of the state that the lifespan made.

All are coroutines: FastAPI sends plain functions to a thread, six of them for every video.
"""

from typing import Annotated, TypedDict, cast

import anyio
from fastapi import Depends, Request

from app.admission import Admission
from app.metrics import Metrics
from app.service import TaggingService
from app.settings import Settings
from app.store import LabelStore
from app.telemetry import Stopwatch
from model import Tagger


class State(TypedDict):
    """What lives as long as the app; each request sees a copy with its own id and stopwatch."""

    settings: Settings
    tagger: Tagger
    store: LabelStore
    admission: Admission
    service: TaggingService
    metrics: Metrics
    warm: anyio.Event


class _RequestState(State):
    request_id: str
    stopwatch: Stopwatch


def _state(request: Request) -> _RequestState:
    return cast(_RequestState, request.scope["state"])


async def _settings(request: Request) -> Settings:
    return _state(request)["settings"]


async def _tagger(request: Request) -> Tagger:
    return _state(request)["tagger"]


async def _store(request: Request) -> LabelStore:
    return _state(request)["store"]


async def _admission(request: Request) -> Admission:
    return _state(request)["admission"]


async def _service(request: Request) -> TaggingService:
    return _state(request)["service"]


async def _metrics(request: Request) -> Metrics:
    return _state(request)["metrics"]


async def _is_warm(request: Request) -> bool:
    return _state(request)["warm"].is_set()


async def _request_id(request: Request) -> str:
    return _state(request)["request_id"]


async def _stopwatch(request: Request) -> Stopwatch:
    return _state(request)["stopwatch"]


SettingsDep = Annotated[Settings, Depends(_settings)]
TaggerDep = Annotated[Tagger, Depends(_tagger)]
StoreDep = Annotated[LabelStore, Depends(_store)]
AdmissionDep = Annotated[Admission, Depends(_admission)]
ServiceDep = Annotated[TaggingService, Depends(_service)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
IsWarmDep = Annotated[bool, Depends(_is_warm)]
RequestIdDep = Annotated[str, Depends(_request_id)]
StopwatchDep = Annotated[Stopwatch, Depends(_stopwatch)]
