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
from uuid import uuid4

import pytest

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


def new_database(folder: str, like: str = "template1") -> str:
    """Make a database in the server with this socket folder, and return its URL.

    It is empty, or a copy of the database named `like`.
    """
    import psycopg

    name = f"test_{uuid4().hex}"
    with psycopg.connect(
        host=folder, user="kinolex", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
    return f"postgresql://kinolex@/{name}?host={folder}"


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> str:
    """The name of a database with all tables and no rows, which nobody is connected to."""
    from tests.support.made_stores import migrate_at

    url = new_database(postgres_server)
    migrate_at(url)
    return url.removeprefix("postgresql://kinolex@/").partition("?")[0]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with all tables and no rows, for each supported kind."""
    if request.param == "postgres":
        name: str = request.getfixturevalue("migrated_postgres")
        server: str = request.getfixturevalue("postgres_server")
        return new_database(server, like=name)
    from tests.support.made_stores import copy_migrated

    copy_migrated(tmp_path / "new" / "labels.sqlite")
    return f"sqlite:///{tmp_path / 'new' / 'labels.sqlite'}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database, for each supported kind."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path / 'new' / 'labels.sqlite'}"
