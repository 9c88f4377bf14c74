"""The service over a checkpoint of three colours, in this process or behind a real socket."""

from typing import TypedDict, Unpack

from starlette.testclient import TestClient

from app.main import create_app
from app.observe.tracing import Tracing
from app.settings import Settings
from model import Tagger
from tests.support.fakes import colour_tagger
from tests.support.listening import running_server
from tests.support.made_stores import copy_colours_store

__all__ = ["BASE_URL", "Parts", "open_client", "running_server"]

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
    if "tagger" not in parts:
        copy_colours_store(settings)
    defaults: Parts = {"tagger": colour_tagger()}
    app = create_app(settings, **(defaults | parts))
    return TestClient(app, base_url=BASE_URL, client=LOCAL)
