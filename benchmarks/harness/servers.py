"""Start, pause and watch the servers that are measured."""

import http.client
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.harness.paths import ROOT
from benchmarks.harness.worker_group import Unavailable
from tests.support.ports import free_port

_START_SECONDS = 900.0
# A running service tries encoder runtimes in a process of this name, at the lowest priority. On a
# busy computer that process may use no processor time for longer than `_QUIET_SECONDS`.
TRIAL = "model.runtime_trial"
_SETTLE_SECONDS = 600.0
_QUIET_SECONDS = 2.0
_MIB = 1024 * 1024
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int
    process: psutil.Process

    def tree(self) -> list[psutil.Process]:
        """The server's processes that are alive."""
        return processes_of(self.process)

    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far, ended ones included."""
        total = 0.0
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                total += used.user + used.system + used.children_user + used.children_system
        return total

    def pause(self) -> None:
        """Stop all processes, so that the server takes no time from the one that is measured."""
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def resume(self) -> None:
        """End the pause."""
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def settle(self) -> None:
        """Wait until the runtime trial is over and the server is idle. Raises Unavailable."""
        end = time.monotonic() + _SETTLE_SECONDS
        before = self.cpu_seconds()
        while time.monotonic() < end:
            time.sleep(_QUIET_SECONDS)
            now = self.cpu_seconds()
            if not self._is_alive():
                raise Unavailable("the server process has ended")
            # less than a tenth of one core; ended children are counted when they are reaped
            if not self._is_trying() and now - before < 0.1 * _QUIET_SECONDS:
                return
            before = now
        raise Unavailable(f"the server is still busy after {_SETTLE_SECONDS:g} s")

    def _is_alive(self) -> bool:
        with suppress(psutil.NoSuchProcess):
            return self.process.status() != psutil.STATUS_ZOMBIE
        return False

    def _is_trying(self) -> bool:
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                if TRIAL in process.cmdline():
                    return True
        return False

    @contextmanager
    def resumed(self) -> Iterator[None]:
        """Resume the server for the length of the block, then pause it."""
        self.resume()
        try:
            yield
        finally:
            self.pause()


def processes_of(process: psutil.Process) -> list[psutil.Process]:
    """A process and its descendants that are alive; empty if the process has ended."""
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


@contextmanager
def running(
    arguments: Sequence[str],
    ready_path: str,
    folder: Path,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run `python ARGUMENTS PORT`; it is ready when `ready_path` answers 200. Raises Unavailable.

    `folder` is the service's data folder, `settings` more environment variables.
    """
    port = free_port()
    with tempfile.TemporaryFile("w+") as log_file:
        process = subprocess.Popen(
            [sys.executable, *arguments, str(port)],
            cwd=ROOT,
            env=environment(folder, settings or {}),
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
        )
        server = Server(port, psutil.Process(process.pid))
        try:
            _wait(process, port, ready_path, log_fd=log_file.fileno())
            yield server
        finally:
            server.resume()
            processes = server.tree()
            process.terminate()
            _, alive = psutil.wait_procs(processes, timeout=10)
            for one in alive:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()


def environment(folder: Path, settings: Mapping[str, str]) -> Mapping[str, str]:
    """Environment of a service with its data in `folder`, without the user's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KINOLEX_")}
    return {**kept, "KINOLEX_DATA_DIR": str(folder), **settings}


def _wait(process: subprocess.Popen[bytes], port: int, path: str, *, log_fd: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with (
            suppress(OSError, http.client.HTTPException),
            closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection,
        ):
            connection.request("GET", path)
            with connection.getresponse() as answer:
                if answer.status == 200:
                    return
        time.sleep(0.1)
    log = os.pread(log_fd, 1 << 20, 0).decode(errors="replace").split()
    raise Unavailable(f"the server did not start: {' '.join(log)[-300:]}")


class MemoryWatch:
    """Peak resident memory of a server's processes together while the block runs, in MiB.

    The kernel keeps the peak of each process, so that polling misses none. Memory that processes
    share counts once for each of them.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self.peak_mib = 0.0

    def __enter__(self) -> "MemoryWatch":
        restart_peaks(self._server)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _poll(self) -> None:
        while True:
            last = self._ended.wait(_POLL_SECONDS)
            self.peak_mib = max(self.peak_mib, peak_mib(self._server))
            if last:
                return


def restart_peaks(server: Server) -> None:
    """Start new peaks: `peak_mib` then ignores everything before this call."""
    for process in server.tree():
        with suppress(OSError):
            # 5 resets VmHWM: proc(5), clear_refs
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def peak_mib(server: Server) -> float:
    """Sum of the peak resident memory of the server's present processes, in MiB."""
    return sum(peak_mib_of(process.pid) for process in server.tree())


def peak_mib_of(pid: int) -> float:
    """Peak resident memory of a process, in MiB; 0 if it has ended."""
    with suppress(OSError, StopIteration):
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / _MIB
    return 0.0
