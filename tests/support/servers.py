"""The service over a checkpoint of three colours: in this process, or behind a real socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict, Unpack

import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.main import create_app
from app.observe.tracing import Tracing
from app.settings import Settings
from model import Tagger
from tests.support.fakes import colour_tagger

# Host names are checked; this one is always allowed.
BASE_URL = "http://127.0.0.1:8000"
# Without API keys, only clients of this computer are answered.
LOCAL = ("127.0.0.1", 50_000)


class Parts(TypedDict, total=False):
    """What `create_app` takes besides the settings."""

    tagger: Tagger | None
    tracing: Tracing | None


def open_client(settings: Settings, **parts: Unpack[Parts]) -> TestClient:
    """A client of an app with these settings; `tagger` is the colours' unless given."""
    defaults: Parts = {"tagger": colour_tagger()}
    app = create_app(settings, **(defaults | parts))
    return TestClient(app, base_url=BASE_URL, client=LOCAL)


@contextmanager
def running_server(app: FastAPI) -> Iterator[str]:
    """Serve the app with uvicorn on a free port of this computer; yields its address."""
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
