"""Whether this process can answer requests, and what it cannot do at the moment."""

import os
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import to_thread
from structlog.typing import FilteringBoundLogger

from app.decode.decode_pool import DecodePool
from app.errors import NotReady, ServiceError, StorageFull, StorageUnavailable
from app.lifecycle.drain import Drain, ShuttingDown
from app.lifecycle.memory import check_memory
from app.settings import Settings
from app.store import LabelStore, StoreFull, StoreReadOnly, StoreUnavailable, database_failure
from model import KinolexError

# A worker that is replaced needs a second, more on a busy computer.
_MAX_SECONDS_WITHOUT_WORKER = 10.0
_DATABASE_SECONDS = 3.0
_MIN_FREE_BYTES = 1024 * 1024
_LIMITING = (StoreFull, StoreReadOnly)


class DecodingUnavailable(ServiceError):
    """No process that decodes videos can be started."""

    code = "decoding_unavailable"


@dataclass(frozen=True, slots=True)
class Limitation:
    """Something that the service cannot do at the moment, while it answers other requests."""

    code: str
    detail: str


class Readiness:
    """Checks the parts that requests need each time it is asked, and logs what has changed."""

    def __init__(
        self,
        *,
        settings: Settings,
        drain: Drain,
        warm: anyio.Event,
        pool: DecodePool,
        store: LabelStore,
        log: FilteringBoundLogger,
        max_seconds_without_worker: float = _MAX_SECONDS_WITHOUT_WORKER,
    ) -> None:
        self._settings = settings
        self._drain = drain
        self._warm = warm
        self._pool = pool
        self._store = store
        self._log = log
        self._max_seconds_without_worker = max_seconds_without_worker
        self._last: frozenset[str] = frozenset()

    async def check(self) -> tuple[Limitation, ...]:
        """Return what the service cannot do. Raises a KinolexError if it cannot tag videos."""
        try:
            limits = await self._limitations()
        except KinolexError as error:
            self._note([error])
            raise
        self._note(limits)
        return tuple(Limitation(error.code, str(error)) for error in limits)

    async def _limitations(self) -> list[KinolexError]:
        if self._drain.is_stopping:
            raise ShuttingDown("the service is shutting down")
        if not self._warm.is_set():
            raise NotReady("the first inference is not done yet")
        if self._pool.seconds_without_worker > self._max_seconds_without_worker:
            raise DecodingUnavailable("no process that decodes videos can be started")
        check_memory()
        limits: list[KinolexError] = []
        database = await self._database_failure()
        if isinstance(database, _LIMITING):
            limits.append(database)
        elif database is not None:
            raise database
        uploads = await to_thread.run_sync(_upload_failure, self._settings.upload_dir)
        return limits if uploads is None else [*limits, uploads]

    async def _database_failure(self) -> StoreUnavailable | None:
        with anyio.move_on_after(_DATABASE_SECONDS):
            return await to_thread.run_sync(
                database_failure, self._store.engine, abandon_on_cancel=True
            )
        return StoreUnavailable(f"the label database has not answered for {_DATABASE_SECONDS:g} s")

    def _note(self, errors: list[KinolexError]) -> None:
        codes = frozenset(error.code for error in errors)
        for error in errors:
            if error.code not in self._last:
                self._log.warning("state_impaired", code=error.code, detail=str(error))
        for code in self._last - codes:
            self._log.info("state_recovered", code=code)
        self._last = codes


def _upload_failure(folder: Path) -> StorageFull | StorageUnavailable | None:
    """Return why larger uploads cannot be received; smaller ones stay in memory. Blocks."""
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        return StorageUnavailable(f"the folder for uploads cannot be used: {error.strerror}")
    if not os.access(folder, os.W_OK):
        return StorageUnavailable("the folder for uploads is read-only")
    if disk.f_bavail * disk.f_frsize < _MIN_FREE_BYTES:
        return StorageFull("no disk space is left for uploads")
    return None
