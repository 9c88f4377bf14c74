"""Why the database does not serve, from the errors of its drivers."""

import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from model import KinolexError

NO_SPACE = "no disk space is left for the label database; what is stored can be read"
READ_ONLY = "the label database is read-only"
# SQLSTATE codes of PostgreSQL, appendix A of its manual
_DISK_FULL, _READ_ONLY_TRANSACTION = "53100", "25006"


class StoreUnavailable(KinolexError):
    """The database cannot be reached, or is busy beyond the timeout."""

    code = "store_unavailable"


class StoreMoved(StoreUnavailable):
    """The database's file was moved, deleted or replaced while the service runs."""

    code = "store_moved"


class StoreFull(StoreUnavailable):
    """No disk space is left for a write; reads are answered."""

    code = "store_full"


class StoreReadOnly(StoreUnavailable):
    """The database accepts no writes; reads are answered."""

    code = "store_read_only"


def failure_of(error: DBAPIError | PoolTimeoutError, file: Path | None) -> StoreUnavailable:
    """Return the error to raise for a driver's; `file` is SQLite's."""
    reason = error.orig if isinstance(error, DBAPIError) else error
    if _is_full(reason):
        return StoreFull(NO_SPACE)
    # SQLite cannot make the files beside the database, and says that it cannot open it
    is_refused = _sqlite_name(reason).startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR"))
    if _is_read_only(reason) or (is_refused and file is not None and not is_writable(file)):
        return StoreReadOnly(READ_ONLY)
    return StoreUnavailable(f"the label database does not answer: {reason}")


def is_writable(file: Path) -> bool:
    """Whether SQLite may write the database and make files beside it."""
    return os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)


def _is_full(reason: BaseException | None) -> bool:
    return _sqlite_name(reason) == "SQLITE_FULL" or _sqlstate(reason) == _DISK_FULL


def _is_read_only(reason: BaseException | None) -> bool:
    is_sqlite = _sqlite_name(reason).startswith("SQLITE_READONLY")
    return is_sqlite or _sqlstate(reason) == _READ_ONLY_TRANSACTION


def _sqlite_name(reason: BaseException | None) -> str:
    name = getattr(reason, "sqlite_errorname", None)
    return name if isinstance(reason, sqlite3.Error) and isinstance(name, str) else ""


def _sqlstate(reason: BaseException | None) -> str:
    state = getattr(reason, "sqlstate", None)
    return state if isinstance(state, str) else ""
