"""The state of the database: whether it can be read, and whether it would accept a write."""

import os
from pathlib import Path

from sqlalchemy import Engine, text

from app.store.database import reading
from app.store.health.failures import (
    NO_SPACE,
    READ_ONLY,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    is_writable,
)

# A write needs a page for each change, twice, and an index file much more.
_MIN_FREE_BYTES = 1024 * 1024


def database_failure(engine: Engine) -> StoreUnavailable | None:
    """Return why the database does not answer or accepts no writes; None if all is well.

    StoreReadOnly and StoreFull leave it readable. Writes nothing. Blocks.
    """
    try:
        with reading(engine) as connection:
            connection.execute(text("SELECT 1"))
            if engine.dialect.name == "postgresql":
                answer = connection.execute(text("SHOW transaction_read_only")).scalar_one()
                return StoreReadOnly(READ_ONLY) if answer == "on" else None
    except StoreUnavailable as error:
        return error
    assert engine.url.database is not None
    return _file_failure(Path(engine.url.database))


def _file_failure(path: Path) -> StoreUnavailable | None:
    if not is_writable(path):
        return StoreReadOnly(READ_ONLY)
    disk = os.statvfs(path)
    if disk.f_bavail * disk.f_frsize < _MIN_FREE_BYTES:
        return StoreFull(NO_SPACE)
    return None
