"""Opens a database by URL: engine, durability, locks between processes, and migrations."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from filelock import FileLock
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from model import KinolexError

# Writers queue for SQLite's single write lock; a write of 100,000 labels holds it for seconds.
BUSY_TIMEOUT_SECONDS = 30
_WRITE_OPTION = "kinolex_write"


class StoreUnavailable(KinolexError):
    """The database cannot be reached, is busy beyond the timeout, or is full."""

    code = "store_unavailable"


class StoreMismatch(KinolexError):
    """This release does not support the database's URL or its schema."""

    code = "store_mismatch"


def open_engine(database_url: str) -> Engine:
    """Return an engine for `sqlite:///path` or `postgresql://...`; create SQLite's folder.

    Raises StoreMismatch for other URLs and when PostgreSQL's driver is not installed.
    """
    try:
        url = make_url(database_url)
        if url.get_backend_name() == "sqlite":
            return _sqlite_engine(url)
        if url.get_backend_name() == "postgresql":
            # SQLAlchemy's default driver is psycopg2, which is not installed
            return create_engine(
                url.set(drivername="postgresql+psycopg"),
                pool_size=5,
                max_overflow=35,
                pool_pre_ping=True,
                hide_parameters=True,
                # all reads of a transaction must see the same revision
                isolation_level="REPEATABLE READ",
            )
    except (ArgumentError, NoSuchModuleError) as error:
        raise StoreMismatch(f"not a database URL: {error}") from error
    except ModuleNotFoundError as error:
        raise StoreMismatch(f"the database's driver is missing: {error}") from error
    raise StoreMismatch(f"use a URL of SQLite or PostgreSQL, not of {url.get_backend_name()!r}")


def _sqlite_engine(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise StoreMismatch(
            "labels need a database file; an in-memory database is lost at every restart"
        )
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        pool_size=5,
        max_overflow=35,
        # a logged error would contain the values, such as label texts
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS},
    )

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: SqliteConnection, _record: object) -> None:
        # `begin` below sends BEGIN: the driver would send it too late for a write lock
        connection.isolation_level = None
        # FULL: a label is on the disk before the PUT returns, even if the power fails
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # SQLite does not let a transaction that has read wait for the write lock
        writes = connection.get_execution_options().get(_WRITE_OPTION)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def reading(engine: Engine) -> Generator[Connection]:
    """Open a read transaction: one consistent view of the database. Raises StoreUnavailable."""
    with _translated(), engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Generator[Connection]:
    """Open a write transaction: all of the block's writes, or none. Raises StoreUnavailable."""
    options: dict[str, Any] = {_WRITE_OPTION: True}
    if engine.dialect.name == "postgresql":
        # writers wait for the set's row lock; under REPEATABLE READ, the second one would fail
        options["isolation_level"] = "READ COMMITTED"
    with (
        _translated(),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def erasing(engine: Engine) -> Generator[tuple[Connection, Callable[[], None]]]:
    """Open a write transaction whose deletions leave no bytes in SQLite's files.

    Call the second value if something was deleted: the write-ahead log is then emptied after the
    transaction, or by a later one if someone still reads from it. On PostgreSQL, VACUUM overwrites.
    Raises StoreUnavailable.
    """
    deleted = False

    def note() -> None:
        nonlocal deleted
        deleted = True

    is_sqlite = engine.dialect.name == "sqlite"
    with writing(engine) as connection:
        if is_sqlite:
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
        try:
            yield connection, note
        finally:
            if is_sqlite:
                connection.exec_driver_sql("PRAGMA secure_delete=OFF")
    if is_sqlite and deleted:
        with _translated(), engine.connect() as connection:
            _outside_transactions(connection, "PRAGMA busy_timeout=0")
            _outside_transactions(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
            milliseconds = BUSY_TIMEOUT_SECONDS * 1000
            _outside_transactions(connection, f"PRAGMA busy_timeout={milliseconds}")


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        reason = error.orig if isinstance(error, DBAPIError) else error
        raise StoreUnavailable(f"the label database does not answer: {reason}") from error


@contextmanager
def alone(engine: Engine, work: str) -> Generator[None]:
    """Hold the lock named `work`: only one process on all hosts can hold it at a time."""
    if engine.dialect.name == "sqlite":
        with FileLock(f"{engine.url.database}.{work}.lock"):
            yield
        return
    with _translated(), engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        key = {"key": f"kinolex {work}"}
        connection.execute(text("SELECT pg_advisory_lock(hashtext(:key))"), key)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(hashtext(:key))"), key)


def migrate(engine: Engine) -> None:
    """Upgrade the schema to this release. Call it inside `alone`.

    Raises StoreMismatch when a newer release created the schema.
    """
    _run_alembic(engine, command.upgrade, "head")


def migrate_down(engine: Engine, revision: str) -> None:
    """Downgrade the schema to an older `revision`; "base" drops all tables."""
    _run_alembic(engine, command.downgrade, revision)


def _run_alembic(engine: Engine, action: Callable[[Config, str], None], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    is_sqlite = engine.dialect.name == "sqlite"
    with _translated(), engine.connect().execution_options(**{_WRITE_OPTION: True}) as connection:
        if is_sqlite:
            # WAL mode is stored in the file; reads do not wait for a write
            _outside_transactions(connection, "PRAGMA journal_mode=WAL")
            # a migration that copies a table drops the old one, without cascading
            _outside_transactions(connection, "PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                config.attributes["connection"] = connection
                action(config, revision)
        except CommandError as error:
            raise StoreMismatch(f"the label database has an unknown schema: {error}") from error
        finally:
            if is_sqlite:
                _outside_transactions(connection, "PRAGMA foreign_keys=ON")


def _outside_transactions(connection: Connection, statement: str) -> None:
    cursor = connection.connection.cursor()
    cursor.execute(statement)
    cursor.close()
