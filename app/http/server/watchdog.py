"""Ends a process that does not end by itself within the grace time."""

import logging
import os
import threading
import time

# Before the process that sent the signal would kill this one.
MARGIN_SECONDS = 1.0

_log = logging.getLogger("uvicorn.error")


class Watchdog:
    """Ends this process shortly before `grace_seconds` after `start`.

    A thread that waits in C code, for a disk for example, cannot be ended in another way. The exit
    code is 0: what the service was asked to do is done, and all that it acknowledged is stored.
    """

    def __init__(self, grace_seconds: float) -> None:
        self._seconds = max(0.0, grace_seconds - MARGIN_SECONDS)
        self._started = threading.Event()
        threading.Thread(target=self._watch, name="stop-watchdog", daemon=True).start()

    def start(self) -> None:
        """Start the time; may be called from a signal handler, and more than once."""
        self._started.set()

    def _watch(self) -> None:
        self._started.wait()
        time.sleep(self._seconds)
        _log.error("The process did not end within the grace time; it ends now.")
        os._exit(0)
