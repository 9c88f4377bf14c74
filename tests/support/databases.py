"""Databases for tests of the store: an SQLite file, and a temporary PostgreSQL server."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    import psycopg

# Debian installs the server's programs outside PATH
_DEBIAN_PROGRAMS = Path("/usr/lib/postgresql")


def _program(name: str) -> str | None:
    found = sorted(_DEBIAN_PROGRAMS.glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


def _server_user() -> str | None:
    """The user that runs the server when the tests run as root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The socket folder of a running server; `kinolex` is its superuser."""
    pytest.importorskip("psycopg", reason="psycopg (extra `postgres`) is not installed")
    if not has_postgres():
        pytest.skip("the Debian package postgresql is not installed")
    with running_postgres() as folder:
        yield folder


def has_postgres() -> bool:
    """Whether the server's programs are installed."""
    return _program("initdb") is not None and _program("postgres") is not None


@contextmanager
def running_postgres() -> Iterator[str]:
    """Run a server, and yield its socket folder; `kinolex` is its superuser."""
    initdb, postgres = _program("initdb"), _program("postgres")
    assert initdb is not None
    assert postgres is not None
    user = _server_user()
    # the path of a socket must be short, which pytest's folders are not
    with tempfile.TemporaryDirectory(prefix="kinolex-pg-") as folder:
        if user is not None:
            shutil.chown(folder, user)
        cluster = f"{folder}/cluster"
        subprocess.run(
            [initdb, "-D", cluster, "-U", "kinolex", "-A", "trust", "-E", "UTF8", "--locale=C"],
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
        )
        server = subprocess.Popen(
            [postgres, "-D", cluster, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            stderr=subprocess.DEVNULL,
            user=user,
            cwd=folder,
        )
        try:
            _wait_until_ready(folder, server)
            yield folder
        finally:
            # fast shutdown: does not wait for clients
            server.send_signal(signal.SIGINT)
            server.wait()


def _wait_until_ready(folder: str, server: "subprocess.Popen[bytes]") -> None:
    import psycopg

    while server.poll() is None:
        try:
            psycopg.connect(host=folder, user="kinolex", dbname="postgres").close()
        except psycopg.OperationalError:
            continue
        return
    raise RuntimeError("the PostgreSQL server ended at once")


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of a new, empty database."""
    return new_database(postgres_server)


def new_database(folder: str) -> str:
    """Make an empty database in the server with this socket folder, and return its URL."""
    name = f"test_{uuid4().hex}"
    with _connected(folder, "postgres") as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return f"postgresql://kinolex@/{name}?host={folder}"


def _connected(folder: str, name: str) -> "psycopg.Connection[Any]":
    import psycopg

    return psycopg.connect(host=folder, user="kinolex", dbname=name, autocommit=True)


def _empty(folder: str, url: str) -> None:
    """End all connections to a migrated database, and remove all rows."""
    name = url.removeprefix("postgresql://kinolex@/").partition("?")[0]
    with _connected(folder, name) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        found = connection.execute(
            "SELECT tablename FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        )
        tables = ", ".join(f'"{table}"' for (table,) in found)
        connection.execute(f"TRUNCATE {tables} RESTART IDENTITY".encode())


@pytest.fixture(scope="session")
def migrated_postgres() -> list[str]:
    """The URLs of databases with all tables and no rows, which no test uses now."""
    return []


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with all tables and no rows, for each supported kind.

    Those of PostgreSQL are emptied and used again: a new one has 300 files.
    """
    from tests.support.made_stores import copy_migrated, migrate_at

    if request.param == "postgres":
        server: str = request.getfixturevalue("postgres_server")
        free: list[str] = request.getfixturevalue("migrated_postgres")
        if not free:
            free.append(new_database(server))
            migrate_at(free[-1])
        url = free.pop()
        yield url
        _empty(server, url)
        free.append(url)
        return
    copy_migrated(tmp_path / "new" / "labels.sqlite")
    yield f"sqlite:///{tmp_path / 'new' / 'labels.sqlite'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database, for each supported kind."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path / 'new' / 'labels.sqlite'}"
