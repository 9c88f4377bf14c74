"""Opens a database by URL: engine, durability, locks between processes, and migrations."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import NullPool

from app.store.health.database_file import DatabaseFile
from app.store.health.failures import StoreMoved, StoreUnavailable, failure_of
from model import KinolexError

if TYPE_CHECKING:
    from alembic.config import Config

# Writers queue for SQLite's single write lock; a write of 100,000 labels holds it for seconds.
BUSY_TIMEOUT_SECONDS = 30
_WRITE_OPTION = "kinolex_write"
_FILE_OPTION = "kinolex_file"
_MIGRATIONS = Path(__file__).parent / "migrations"


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
    with _usable_folder(url.database):
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        pool_size=5,
        max_overflow=35,
        # a logged error would contain the values, such as label texts
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS},
    )

    file = DatabaseFile(Path(url.database))
    engine.update_execution_options(**{_FILE_OPTION: file})

    @event.listens_for(engine, "do_connect")
    def create_no_second_file(
        _dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]
    ) -> None:
        if file.is_kept:
            arguments[0], options["uri"] = file.existing_url, True

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
    check_file(engine)
    with _translated(engine), engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Generator[Connection]:
    """Open a write transaction: all of the block's writes, or none. Raises StoreUnavailable."""
    options: dict[str, Any] = {_WRITE_OPTION: True}
    if engine.dialect.name == "postgresql":
        # writers wait for the set's row lock; under REPEATABLE READ, the second one would fail
        options["isolation_level"] = "READ COMMITTED"
    check_file(engine)
    with (
        _translated(engine),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
    ):
        yield connection
    # what went into a file that was moved meanwhile is not acknowledged
    check_file(engine)


def keep_file(engine: Engine) -> None:
    """Note that the database is complete in SQLite's file, which must not be replaced unseen."""
    file = _file_of(engine)
    if file is not None:
        file.keep()


def close_engine(engine: Engine) -> None:
    """Close all connections."""
    engine.dispose()
    file = _file_of(engine)
    if file is not None:
        file.close()


def check_file(engine: Engine) -> None:
    """Check that SQLite's file is still where it was. Raises StoreMoved until it is back.

    A file that replaces it is used from now on if its schema is that of this release. The indexes
    in memory follow, as after any restore of an older database.
    """
    file = _file_of(engine)
    if file is None or (change := file.change()) is None:
        return
    if not file.complete() or file.is_missing or not _has_newest_schema(file.path):
        raise StoreMoved(
            f"the file of the label database {change}; put it back, or restart the service to "
            "begin with what is there now"
        )
    engine.dispose()
    file.leave()
    file.keep()


def _file_of(engine: Engine) -> DatabaseFile | None:
    found: DatabaseFile | None = engine.get_execution_options().get(_FILE_OPTION)
    return found


def _has_newest_schema(path: Path) -> bool:
    # immutable: makes no files beside it, and reads none
    engine = create_engine(f"sqlite:///{path.as_uri()}?immutable=1&uri=true", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return _is_current(connection)
    except DBAPIError:
        return False


def _is_current(connection: Connection) -> bool:
    """Whether the schema is that of this release, as Alembic notes it.

    Alembic takes 0.1 s and 11 MB to import, which nearly every start does without.
    """
    if not inspect(connection).has_table("alembic_version"):
        return False
    found = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
    return found == [newest_revision()]


def newest_revision() -> str:
    """Return the number of the newest migration, with which the name of its file begins."""
    return max(path.name for path in _MIGRATIONS.glob("versions/[0-9]*.py")).partition("_")[0]


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
        with _translated(engine), engine.connect() as connection:
            _outside_transactions(connection, "PRAGMA busy_timeout=0")
            _outside_transactions(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
            milliseconds = BUSY_TIMEOUT_SECONDS * 1000
            _outside_transactions(connection, f"PRAGMA busy_timeout={milliseconds}")


@contextmanager
def _translated(engine: Engine) -> Generator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as error:
        file = _file_of(engine)
        raise failure_of(error, None if file is None else file.path) from error


@contextmanager
def alone(engine: Engine, work: str) -> Generator[None]:
    """Hold the lock named `work`: only one process on all hosts can hold it at a time."""
    if engine.dialect.name == "sqlite":
        lock = FileLock(f"{engine.url.database}.{work}.lock")
        with _usable_folder(engine.url.database):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
        return
    with _translated(engine), engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        key = {"key": f"kinolex {work}"}
        connection.execute(text("SELECT pg_advisory_lock(hashtext(:key))"), key)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(hashtext(:key))"), key)


@contextmanager
def _usable_folder(database: str | None) -> Generator[None]:
    try:
        yield
    except OSError as error:
        folder = Path(database or "").absolute().parent
        raise StoreUnavailable(
            f"the folder of the label database, {folder}, cannot be written: {error.strerror}"
        ) from error


def migrate(engine: Engine) -> None:
    """Upgrade the schema to this release. Call it inside `alone`.

    Raises StoreMismatch when a newer release created the schema.
    """
    with _translated(engine), engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # WAL mode is stored in the file; reads do not wait for a write
            _outside_transactions(connection, "PRAGMA journal_mode=WAL")
        with connection.begin():
            is_current = _is_current(connection)
    if not is_current:
        from alembic import command  # see _is_current

        _run_alembic(engine, command.upgrade, "head")


def migrate_down(engine: Engine, revision: str) -> None:
    """Downgrade the schema to an older `revision`; "base" drops all tables."""
    from alembic import command  # see _is_current

    _run_alembic(engine, command.downgrade, revision)


def _run_alembic(engine: Engine, action: Callable[["Config", str], None], revision: str) -> None:
    from alembic.config import Config  # see _is_current
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    is_sqlite = engine.dialect.name == "sqlite"
    with (
        _translated(engine),
        engine.connect().execution_options(**{_WRITE_OPTION: True}) as connection,
    ):
        if is_sqlite:
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
