"""Serves an application until a signal."""

from uvicorn.config import STARTUP_FAILURE

from app.http.connection import BoundedConnection
from app.http.server.process import CLOSING_SHARE, Server, ServerConfig, Stop
from app.http.server.processes import ServerProcesses
from app.http.server.watchdog import MARGIN_SECONDS


def serve_app(app: str, *, host: str, port: int, workers: int, log_level: str, stop: Stop) -> int:
    """Serve the application that the factory `app` makes; return the exit code.

    `app` is a module and a function, `app.main:create_app`. Raises SystemExit if the port cannot be
    opened.
    """
    config = ServerConfig(
        app,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level=log_level,
        access_log=False,
        server_header=False,
        ws="none",
        http=BoundedConnection,
        # a process that only begins to import its modules, on a busy computer, does not hang
        timeout_worker_healthcheck=60,
        timeout_graceful_shutdown=max(1, int(stop.grace_seconds * CLOSING_SHARE / 2)),
    )
    if workers == 1:
        config.stop = stop
        server = Server(config)
        server.run()
        return 0 if server.was_asked else STARTUP_FAILURE
    # the processes end before this one would end them
    config.stop = Stop(stop.grace_seconds - MARGIN_SECONDS, stop.delay_seconds)
    processes = ServerProcesses(config, [config.bind_socket()], grace_seconds=stop.grace_seconds)
    processes.run()
    return processes.exit_code
