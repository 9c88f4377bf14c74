"""Work in the background that goes on after an error."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import anyio
from structlog.typing import FilteringBoundLogger

_FIRST_PAUSE_SECONDS = 1.0
_MAX_PAUSE_SECONDS = 60.0


async def keep_running(
    name: str, work: Callable[[], Awaitable[object]], log: FilteringBoundLogger
) -> NoReturn:
    """Run `work` until cancelled; an error is logged with `name`, and it runs again after a pause.

    The pause grows from a second to a minute while it fails again at once. Without this, an error
    of one task would cancel the task group of the service, which then answers no request.
    """
    pause = _FIRST_PAUSE_SECONDS
    while True:
        began = anyio.current_time()
        try:
            await work()
        except Exception:  # any error: a request must not fail because of other work
            log.exception("background_failed", task=name)
        if anyio.current_time() - began > _MAX_PAUSE_SECONDS:
            pause = _FIRST_PAUSE_SECONDS
        await anyio.sleep(pause)
        pause = min(2 * pause, _MAX_PAUSE_SECONDS)
