"""Several server processes that share a port: started, replaced when they end, and stopped."""

import logging
import signal
import socket

from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from app.http.server.process import Server, ServerConfig
from app.http.server.watchdog import Watchdog

_log = logging.getLogger("uvicorn.error")
_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


class _ServerProcess(Process):
    """One process with our server; pickled on its way to the process."""

    config: ServerConfig

    @property
    def server(self) -> Server:
        """The server; made when it is first needed, in its process."""
        if not isinstance(self._server, Server):
            self._server = Server(self.config)
        return self._server


class ServerProcesses(Multiprocess):
    """uvicorn's supervisor with our server in each process; SIGTERM and SIGINT stop them all.

    `exit_code` is not 0 after a process that could not start.
    """

    def __init__(
        self, config: ServerConfig, sockets: list[socket.socket], *, grace_seconds: float
    ) -> None:
        super().__init__(config, sockets)
        self._config = config
        self._watchdog = Watchdog(grace_seconds)
        self.exit_code = 0

    def init_processes(self) -> None:
        """Start all processes."""
        self.processes = [self._started() for _ in range(self.processes_num)]

    def keep_subprocess_alive(self) -> None:
        """Replace processes that have ended or hang."""
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                continue
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE:
                _log.error("Child process [%s] failed to start.", process.pid)
                self.exit_code = STARTUP_FAILURE
                self.should_exit.set()
                return
            _log.error("Child process [%s] died.", process.pid)
            self.processes[place] = self._started()

    def handle_signals(self) -> None:
        """Stop after SIGTERM and SIGINT; other signals do nothing."""
        while self.signal_queue:
            if self.signal_queue.pop() in _STOP_SIGNALS:
                self._watchdog.start()
                self.should_exit.set()

    def terminate_all(self) -> None:
        """Ask all processes to stop; they alone have the port open then, and close it last."""
        super().terminate_all()
        for listener in self.sockets:
            listener.close()

    def _started(self) -> _ServerProcess:
        process = _ServerProcess(self._config, self.sockets)
        process.start()
        return process
