"""Deletes what was kept for long enough, or is over its size."""

from collections.abc import Callable
from typing import NoReturn

import anyio
from anyio import to_thread
from structlog.typing import FilteringBoundLogger

from app.store import StoreUnavailable

# Deleting is a matter of days; a look is a query over an index.
_SECONDS_BETWEEN_LOOKS = 60.0


async def keep_deleting(delete: Callable[[], int], log: FilteringBoundLogger) -> NoReturn:
    """Call `delete` in a thread now and then every minute, and log how much it deleted."""
    while True:
        try:
            deleted = await to_thread.run_sync(delete)
        except StoreUnavailable as error:
            log.warning("retention_failed", detail=str(error))
        else:
            if deleted:
                log.info("retention_deleted", count=deleted)
        await anyio.sleep(_SECONDS_BETWEEN_LOOKS)
