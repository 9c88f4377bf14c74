"""An app with only the label routes, over a store with word vectors."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from app.access.grants import KEYLESS
from app.problems import install_problems
from app.routes.labels import labels
from app.settings import Settings
from app.store import LabelStore
from tests.support.made_stores import copy_two_labels
from tests.support.word_vectors import WordSource, WordVectors

# what the routes read from the checkpoint
_TAGGER = SimpleNamespace(
    model_id="words", revision="0", text=WordVectors(), video_space="videos-16"
)


@contextmanager
def two_labels(folder: Path) -> Iterator[LabelStore]:
    """A store in this folder whose default set has the labels juggling and riding a horse."""
    file = folder / "labels.sqlite"
    copy_two_labels(file)
    with closing(LabelStore.open(f"sqlite:///{file}", WordSource())) as store:
        yield store


@contextmanager
def label_client(store: LabelStore, **overrides: Any) -> Iterator[TestClient]:
    """A client of an app with only the label routes and these settings."""
    settings = Settings(**overrides)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        yield {"store": store, "tagger": _TAGGER, "settings": settings, "grant": KEYLESS}

    app = FastAPI(lifespan=lifespan)
    install_problems(app)
    app.include_router(labels.router)
    with TestClient(app) as client:
        yield client
