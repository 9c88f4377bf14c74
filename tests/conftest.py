"""Fixtures of the service: settings, a client in this process, a running server.

The service is imported inside the fixtures: the library's tests run where there is none.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.databases import (
    database_url,
    migrated_postgres,
    migrated_url,
    postgres_server,
    postgres_url,
)
from tests.support.wire import Wire

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from app.settings import Settings

__all__ = [
    "database_url",
    "migrated_postgres",
    "migrated_url",
    "postgres_server",
    "postgres_url",
]

# How long an example takes depends on what else the computer does.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def _no_settings() -> Iterator[None]:
    """No test, and no server that several tests share, is configured as the machine is."""
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.startswith("KINOLEX_"):
                environment.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test writes to the home of the user that runs it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


def pytest_collection_finish() -> None:
    try:
        from tests.support.frozen import freeze_modules
    except ModuleNotFoundError:
        return  # without the service, nothing needs it
    freeze_modules()


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """A garbage collector that nothing is exempt from, as at the start of a program."""
    from tests.support.frozen import freeze_modules, unfreeze_modules

    unfreeze_modules()
    yield
    freeze_modules()


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
    from tests.support.servers import open_client

    with open_client(make_settings()) as client:
        yield client


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[TestClient]":
    """A client of an app that the tests of a module share: they ask, and change nothing.

    Starting an app and its decode worker takes half a second of processor time.
    """
    from app.settings import Settings
    from tests.support.servers import open_client

    folder = tmp_path_factory.mktemp("shared") / "data"
    with open_client(Settings(data_dir=folder, decode_workers=1, log_level="error")) as client:
        yield client


@pytest.fixture
def server(make_settings: "Callable[..., Settings]") -> Iterator[str]:
    """The address of a running service."""
    from app.main import create_app
    from tests.support.fakes import colour_tagger
    from tests.support.made_stores import copy_colours_store
    from tests.support.servers import running_server

    settings = make_settings()
    copy_colours_store(settings)
    with running_server(create_app(settings, tagger=colour_tagger())) as address:
        yield address


@pytest.fixture
def make_wire() -> Iterator[Callable[[str], Wire]]:
    """Clients that write by hand, closed at the end."""
    wires: list[Wire] = []

    def make(address: str) -> Wire:
        wires.append(Wire(address))
        return wires[-1]

    yield make
    for wire in wires:
        wire.close()
