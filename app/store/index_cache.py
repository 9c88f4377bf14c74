"""Indexes of large sets as files, so that a process need not read a million labels to start.

The database is the truth: a file is believed only while everything in it can be checked against
it, and what was written since is read on top of it.
"""

import hashlib
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Row, func, select

from app.store.records import LabelSnapshot, PrototypeSource
from app.store.tables import LabelRow
from model import load_index, save_index

# Fewer labels are read from the database in a second.
LEAST_SAVED = 10_000

_log = logging.getLogger(__name__)


class IndexCache:
    """A folder of index files, one for each set and checkpoint."""

    def __init__(self, folder: Path, source: PrototypeSource) -> None:
        self._folder = folder
        self._source = source

    def load(self, connection: Connection, row: Row[Any]) -> LabelSnapshot | None:
        """The set as it was when it was saved, or None when that cannot lead to what it is now."""
        found = load_index(self._path(row.name))
        if found is None:
            return None
        stamp, index = found
        revision, thresholds = stamp.pop("revision"), stamp.pop("thresholds")
        written = stamp.pop("written")
        leads_here = row.complete_since <= revision <= row.revision
        if stamp != self._stamp(row) or not leads_here or index.dim != self._source.text.dim:
            return None
        if _was_written_otherwise(connection, row.id, revision, written):
            _log.warning("the database is not the one that the index of %r was of", row.name)
            return None
        return LabelSnapshot(row.name, revision, index.with_thresholds(thresholds))

    def save(self, row: Row[Any], snapshot: LabelSnapshot) -> None:
        """Keeps a large set's index, which is in one block, at the revision of its row.

        A full disk costs the file, not the service. Nothing happens while another process saves.
        """
        if len(snapshot.index) < LEAST_SAVED:
            return
        stamp = {
            **self._stamp(row),
            "revision": snapshot.revision,
            "written": row.updated_at.astimezone(UTC).isoformat(),
            "thresholds": dict(snapshot.index.thresholds),
        }
        path = self._path(row.name)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(f"{path}.lock", blocking=False):
                save_index(snapshot.index, path, stamp)
        except Timeout:
            pass
        except OSError as error:
            _log.warning("the index of %r cannot be kept: %s", row.name, error)

    def _path(self, set_name: str) -> Path:
        spaces = f"{self._source.text_space} {self._source.video_space}"
        digest = hashlib.sha256(spaces.encode()).hexdigest()
        return self._folder / f"{set_name}-{digest[:16]}.index"

    def _stamp(self, row: Row[Any]) -> dict[str, Any]:
        return {
            "set": row.name,
            "set_id": row.id,
            # tells apart sets of two databases
            "created": row.created_at.astimezone(UTC).isoformat(),
            "text_space": self._source.text_space,
            "video_space": self._source.video_space,
        }


def count_enabled(connection: Connection, set_id: int) -> int:
    """How many labels of the set are to be found."""
    statement = select(func.count()).where(LabelRow.set_id == set_id, LabelRow.enabled)
    return connection.execute(statement).scalar_one()


def _was_written_otherwise(
    connection: Connection, set_id: int, revision: int, written: str
) -> bool:
    """Whether a label up to the revision was written after the time at which it was reached.

    So it is when an older copy of the database was put back and written again.
    """
    statement = (
        select(LabelRow.id)
        .where(
            LabelRow.set_id == set_id,
            LabelRow.revision <= revision,
            LabelRow.updated_at > datetime.fromisoformat(written),
        )
        .limit(1)
    )
    return connection.execute(statement).first() is not None
