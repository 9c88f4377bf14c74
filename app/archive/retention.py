"""Deletes kept analyses that are too old or too many."""

from datetime import timedelta
from typing import NoReturn

import anyio
from anyio import to_thread
from structlog.typing import FilteringBoundLogger

from app.store import StoreUnavailable
from app.store.analyses import AnalysisStore

# Deleting is a matter of days; a look is one query over an index.
_SECONDS_BETWEEN_LOOKS = 60.0


async def delete_old(
    store: AnalysisStore, max_age: timedelta, max_bytes: int, log: FilteringBoundLogger
) -> NoReturn:
    """Delete analyses over the limits, now and then every minute, until cancelled."""
    while True:
        try:
            removed = await to_thread.run_sync(store.remove_old, max_age, max_bytes)
        except StoreUnavailable as error:
            log.warning("retention_failed", detail=str(error))
        else:
            if removed:
                log.info("analyses_deleted", count=removed)
        await anyio.sleep(_SECONDS_BETWEEN_LOOKS)
