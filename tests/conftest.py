"""The service with a checkpoint of three colours, in process and over a real socket.

The service is imported inside the fixtures: the library's tests run where there is none.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.databases import database_url, postgres_server, postgres_url

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.testclient import TestClient

    from app.settings import Settings

__all__ = ["database_url", "postgres_server", "postgres_url"]

# Host names are checked; this one is always let in.
BASE_URL = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on how the machine that runs it is configured."""
    import os

    for name in list(os.environ):
        if name.startswith("KINOLEX_"):
            monkeypatch.delenv(name)


@pytest.fixture
def make_settings(tmp_path: Path) -> "Callable[..., Settings]":
    """Settings with a data folder of their own; keyword arguments override."""
    from app.settings import Settings

    def make(**overrides: Any) -> Settings:
        quiet = {"data_dir": tmp_path / "data", "decode_workers": 1, "log_level": "error"}
        return Settings(**{**quiet, **overrides})

    return make


@pytest.fixture
def client(make_settings: "Callable[..., Settings]") -> "Iterator[TestClient]":
    """A client of a started app."""
    with open_client(make_settings()) as client:
        yield client


def open_client(settings: "Settings", **parts: Any) -> "AbstractContextManager[TestClient]":
    """A client of an app with these settings; `tagger` is the colours' unless given."""
    from starlette.testclient import TestClient

    from app.main import create_app
    from tests.support.fakes import colour_tagger

    app = create_app(settings, **{"tagger": colour_tagger(), **parts})
    return TestClient(app, base_url=BASE_URL)


@contextmanager
def running_server(app: "FastAPI") -> Iterator[str]:
    """The app behind uvicorn on a free port of this computer; gives its address."""
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            threading.Event().wait(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture
def server(make_settings: "Callable[..., Settings]") -> Iterator[str]:
    """The address of a running service."""
    from app.main import create_app
    from tests.support.fakes import colour_tagger

    with running_server(create_app(make_settings(), tagger=colour_tagger())) as address:
        yield address
