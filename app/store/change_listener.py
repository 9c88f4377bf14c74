"""A thread that hears of other processes' writes and reads them before anybody asks.

What a request sees does not depend on it: each asks the database for the revision. It only spares
the first one after a write the reading.
"""

import logging
import threading
from collections.abc import Container
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.store.snapshots import Snapshots
from app.store.writes import CHANNEL
from model import KinolexError

# How often sets are looked at where nobody tells: SQLite, and a notice that was lost.
_POLL_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Following:
    """Keeps the snapshots that are in memory at their newest revision."""

    def __init__(self, engine: Engine, snapshots: Snapshots) -> None:
        self._engine = engine
        self._snapshots = snapshots
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins, in a thread of its own."""
        self._thread = threading.Thread(target=self._follow, name="following", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends within a second, and after the index at hand."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _follow(self) -> None:
        while not self._stopped.is_set():
            if self._engine.dialect.name != "postgresql":
                self._catch_up(self._snapshots.names)
            else:
                self._listen()
            self._stopped.wait(_POLL_SECONDS)

    def _listen(self) -> None:
        """Waits for PostgreSQL's notices until stopped; returns when the connection is lost."""
        errors = self._engine.dialect.loaded_dbapi.Error
        try:
            pooled = self._engine.raw_connection()
        except (errors, SQLAlchemyError) as error:
            _log.warning("the label database does not answer: %s", error)
            return
        driver: Any = pooled.driver_connection
        # it listens from now on: not for the pool again
        pooled.detach()
        try:
            driver.rollback()
            # outside transactions, so that notices come when they are sent
            driver.autocommit = True
            driver.execute(f"LISTEN {CHANNEL}")
            self._catch_up(self._snapshots.names)
            while not self._stopped.is_set():
                notices = driver.notifies(timeout=_POLL_SECONDS, stop_after=1)
                told = {notice.payload for notice in notices}
                self._catch_up(told or self._snapshots.names)
        except errors as error:
            _log.warning("the label database's notices are lost: %s", error)
        finally:
            driver.close()

    def _catch_up(self, told: Container[str]) -> None:
        for name in self._snapshots.names:
            if name in told:
                try:
                    self._snapshots.get(name)
                except KinolexError as error:
                    # whoever asks for the set is told the same
                    _log.debug("label set %r was not read: %s", name, error)
