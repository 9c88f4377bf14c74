"""A thread that listens for other processes' writes and updates the indexes in memory.

Answers do not depend on it: each request reads the set's revision from the database. The listener
only spares the first request after a write the time to read the changes.
"""

import threading
import time
from collections.abc import Container
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from structlog.typing import FilteringBoundLogger

from app.store.snapshots import Snapshots
from app.store.writes import CHANNEL
from model import KinolexError

# Maximum time until the thread notices that it must stop.
_STOP_SECONDS = 1.0


class ChangeListener:
    """Keeps the snapshots in memory at their newest revision.

    On PostgreSQL it reacts to notifications. On SQLite, and for lost notifications, it compares
    revisions every `poll_seconds`.
    """

    def __init__(self, engine: Engine, snapshots: Snapshots, log: FilteringBoundLogger) -> None:
        self._log = log
        self._engine = engine
        self._snapshots = snapshots
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, poll_seconds: float) -> None:
        """Start the thread."""
        self._thread = threading.Thread(
            target=self._run, args=(poll_seconds,), name="change-listener", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread within a second, or after the index that it is building."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, poll_seconds: float) -> None:
        while not self._stopped.is_set():
            if self._engine.dialect.name != "postgresql":
                self._update(self._snapshots.names)
            else:
                self._listen(poll_seconds)
            self._stopped.wait(poll_seconds)

    def _listen(self, poll_seconds: float) -> None:
        """Handle PostgreSQL's notifications until stopped or until the connection is lost."""
        errors = self._engine.dialect.loaded_dbapi.Error
        try:
            pooled = self._engine.raw_connection()
        except (errors, SQLAlchemyError) as error:
            self._log.warning("label_database_silent", detail=str(error))
            return
        driver: Any = pooled.driver_connection
        # the connection keeps its LISTEN state: it must not return to the pool
        pooled.detach()
        try:
            driver.rollback()
            # notifications are delivered outside transactions
            driver.autocommit = True
            driver.execute(f"LISTEN {CHANNEL}")
            self._update(self._snapshots.names)
            self._handle_notifications(driver, poll_seconds)
        except errors as error:
            self._log.warning("label_notifications_lost", detail=str(error))
        finally:
            driver.close()

    def _handle_notifications(self, driver: Any, poll_seconds: float) -> None:
        next_poll = time.monotonic() + poll_seconds
        while not self._stopped.is_set():
            timeout = min(poll_seconds, _STOP_SECONDS)
            notified = {each.payload for each in driver.notifies(timeout=timeout, stop_after=1)}
            if notified:
                self._update(notified)
            elif time.monotonic() >= next_poll:
                self._update(self._snapshots.names)
                next_poll = time.monotonic() + poll_seconds

    def _update(self, set_names: Container[str]) -> None:
        for name in self._snapshots.names:
            if name in set_names:
                try:
                    self._snapshots.get(name)
                except KinolexError as error:
                    # the next request for the set gets the same error
                    self._log.debug("label_set_not_read", label_set=name, detail=str(error))
