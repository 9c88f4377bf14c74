"""One server process: uvicorn's server, with a stop in steps.

On SIGTERM the service reports that it is not ready and serves on for a while, so that load
balancers notice. Then it refuses new requests and finishes those in progress, and closes the port
last.
"""

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import uvicorn

from app.http.server.listeners import refuse_new_connections
from app.http.server.watchdog import MARGIN_SECONDS, Watchdog
from app.lifecycle.drain import Drain

# The last part of the grace time, in which no request is worked on any more.
CLOSING_SHARE = 0.25
_POLL_SECONDS = 0.05
# In which connections that the kernel has accepted are fetched.
_FETCH_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Stop:
    """How long the stop may take in all, and how long the service serves on at its beginning."""

    grace_seconds: float
    delay_seconds: float


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration, which reaches every process, with how to stop."""

    stop: Stop


class Server(uvicorn.Server):
    """Serves in this process until SIGTERM or SIGINT; a second SIGINT ends it at once.

    The application's lifespan has its Drain under `drain` in the state.
    """

    def __init__(self, config: ServerConfig) -> None:
        super().__init__(config)
        self._stop = config.stop
        self._signal: int | None = None
        self._cancel: Callable[[], object] = lambda: None
        self._watchdog = Watchdog(config.stop.grace_seconds)

    @property
    def was_asked(self) -> bool:
        """Whether a signal stopped the server."""
        return self._signal is not None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal; the process must end afterwards."""
        # what is loaded for a start is kept: to look for garbage in it again and again takes a
        # tenth of the start
        gc.disable()
        super().run(sockets)
        # else the interpreter looks for garbage among all objects at its end, for 1.7 s
        gc.freeze()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the service and the port. From then on garbage is collected."""
        try:
            await super().startup(sockets)
        finally:
            gc.enable()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal. Raises SystemExit if the application cannot start."""
        loop, serving = asyncio.get_running_loop(), asyncio.current_task()
        assert serving is not None
        self._cancel = lambda: loop.call_soon_threadsafe(serving.cancel)
        try:
            await super().serve(sockets)
        except asyncio.CancelledError:
            if not self.was_asked:
                raise

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop. A signal handler; uvicorn's would repeat the signal at the end."""
        self._watchdog.start()
        self.force_exit = self.force_exit or (self.was_asked and sig == signal.SIGINT)
        self._signal = self._signal or sig
        self.should_exit = True
        if not self.started:
            self._cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close the port and all parts of the service."""
        started = time.monotonic()
        drain: Drain = self.lifespan.state["drain"]
        drain.begin()
        if self._signal == signal.SIGTERM:
            await self._wait(started + self._stop.delay_seconds)
        drain.close()
        await self._wait(started + self._stop.grace_seconds * (1 - CLOSING_SHARE), drain)
        drain.end()
        await self._wait(time.monotonic() + MARGIN_SECONDS, drain)
        for server in self.servers:
            for listener in server.sockets:
                with socket.socket(fileno=os.dup(listener.fileno())) as same:
                    refuse_new_connections(same)
        await asyncio.sleep(_FETCH_SECONDS)
        await super().shutdown(sockets)

    async def _wait(self, end: float, drain: Drain | None = None) -> None:
        """Wait until `end`, until the drain has no requests, or until a second SIGINT."""
        while not self._is_over(end, drain):  # noqa: ASYNC110  # a signal handler ends it
            await asyncio.sleep(_POLL_SECONDS)

    def _is_over(self, end: float, drain: Drain | None) -> bool:
        is_idle = drain is not None and not drain.requests
        return is_idle or self.force_exit or time.monotonic() >= end
