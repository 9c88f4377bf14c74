"""Index files of large sets, so that a starting process need not read a million labels.

The files are a cache: a file is used only if its stamp fits the database, and the writes since it
was saved are applied to its index.
"""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Row, func, select
from structlog.typing import FilteringBoundLogger

from app.store.records import LabelSnapshot, PrototypeSource
from app.store.tables import LabelRow
from model import load_index, save_index

# Minimum number of labels for a file; fewer are read from the database within a second.
MIN_SAVED = 10_000


class IndexCache:
    """A folder of index files: one for each pair of set and checkpoint."""

    def __init__(self, folder: Path, source: PrototypeSource, log: FilteringBoundLogger) -> None:
        self._log = log
        self._folder = folder
        self._source = source

    def load(self, connection: Connection, row: Row[Any]) -> LabelSnapshot | None:
        """Return the set as saved, or None if it cannot be updated to the revision of `row`."""
        found = load_index(self._path(row.name))
        if found is None:
            return None
        stamp, index = found
        revision, thresholds = stamp.pop("revision"), stamp.pop("thresholds")
        written = stamp.pop("written")
        can_update = row.complete_since <= revision <= row.revision
        dim = self._source.dim
        if stamp != self._stamp(row) or not can_update or index.dim != dim:
            return None
        if _has_later_writes(connection, row.id, revision, written):
            self._log.warning("index_file_of_other_database", label_set=row.name)
            return None
        return LabelSnapshot(row.name, revision, index.with_thresholds(thresholds))

    def save(self, row: Row[Any], snapshot: LabelSnapshot) -> None:
        """Save the index of a large set, which must be in one block, at the revision of `row`.

        Logs errors, such as a full disk. Does nothing while another process saves the set.
        """
        if len(snapshot.index) < MIN_SAVED:
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
            self._log.warning("index_not_saved", label_set=row.name, detail=str(error))

    def _path(self, set_name: str) -> Path:
        spaces = f"{self._source.text_space} {self._source.video_space}"
        digest = hashlib.sha256(spaces.encode()).hexdigest()
        return self._folder / f"{set_name}-{digest[:16]}.index"

    def _stamp(self, row: Row[Any]) -> dict[str, Any]:
        return {
            "set": row.name,
            "set_id": row.id,
            # distinguishes sets with equal ids in two databases
            "created": row.created_at.astimezone(UTC).isoformat(),
            "text_space": self._source.text_space,
            "video_space": self._source.video_space,
        }


def count_enabled(connection: Connection, set_id: int) -> int:
    """Return the number of enabled labels of a set."""
    statement = select(func.count()).where(LabelRow.set_id == set_id, LabelRow.enabled)
    return connection.execute(statement).scalar_one()


def _has_later_writes(connection: Connection, set_id: int, revision: int, written: str) -> bool:
    """Whether a label of `revision` or older was written after the time `written`.

    This happens when an older copy of the database was restored and then written to.
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
