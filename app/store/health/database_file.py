"""Notices that SQLite's file was moved, deleted or replaced while connections to it are open.

Such connections go on with a file that has no name any more, or another one: what they write would
be lost at the next start.
"""

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

_Identity: TypeAlias = tuple[int, int]


class DatabaseFile:
    """The file of an engine, by device and inode; thread-safe.

    Before `keep`, a missing file is created by the first connection; afterwards none is. A
    connection of its own stays open until `close`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._log_path = self.path.with_name(f"{self.path.name}-wal")
        self._memory_path = self.path.with_name(f"{self.path.name}-shm")
        self._guard = threading.Lock()
        self._kept: _Identity | None = None
        self._kept_log: _Identity | None = None
        self._connection: sqlite3.Connection | None = None

    @property
    def is_kept(self) -> bool:
        """Whether `keep` was called."""
        return self._kept is not None

    @property
    def is_missing(self) -> bool:
        """Whether the path leads to no file."""
        return _identity(self.path) is None

    @property
    def existing_url(self) -> str:
        """SQLite's address of the file, under which no connection creates it."""
        return f"{self.path.as_uri()}?mode=rw"

    def keep(self) -> None:
        """Note that the database is in the file that the path leads to now."""
        with self._guard:
            self._close()
            self._connection = sqlite3.connect(
                self.existing_url, uri=True, isolation_level=None, check_same_thread=False
            )
            # opens the write-ahead log
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            self._kept, self._kept_log = _identity(self.path), _identity(self._log_path)

    def change(self) -> str | None:
        """Say how the path does not lead to the file any more; None if it does."""
        if self._kept is None:
            return None
        found = _identity(self.path)
        if found == self._kept:
            return None
        return "was moved or deleted" if found is None else "is another file than before"

    def complete(self) -> bool:
        """Write the write-ahead log into the file, wherever that is; return whether all is in it.

        SQLite does not do so when the connections to a moved file are closed. It would later take
        the log for that of another file in the same place.
        """
        with self._guard:
            if self._connection is None:
                return True
            try:
                cursor = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                [busy, *_] = cursor.fetchone()
                return bool(busy == 0)
            except sqlite3.Error:
                return False

    def leave(self) -> None:
        """Give up the file: remove what is left of its write-ahead log beside another file."""
        with self._guard:
            self._close()
            if _identity(self._log_path) == self._kept_log:
                with suppress(FileNotFoundError):
                    self._log_path.unlink()
                    self._memory_path.unlink()

    def close(self) -> None:
        """Close the connection; the last one to a file removes its write-ahead log."""
        with self._guard:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _identity(path: Path) -> _Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
