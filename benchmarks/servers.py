"""Servers under measurement: started, paused while others are asked, their processes watched."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.crew import ROOT, Unavailable

_START_SECONDS = 240.0
# A service that is up measures encoder runtimes beside, in a process of this name and of the least
# priority: where others keep the computer busy, it may stand still for longer than a look takes.
TRIAL = "model.runtime_trial"
_SETTLE_SECONDS = 600.0
_QUIET_SECONDS = 2.0
_MIB = 1024 * 1024
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and all its processes."""

    port: int
    process: psutil.Process

    def tree(self) -> list[psutil.Process]:
        """The processes alive now."""
        with suppress(psutil.NoSuchProcess):
            return [self.process, *self.process.children(recursive=True)]
        return []

    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far, of those that ended too."""
        total = 0.0
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                total += used.user + used.system + used.children_user + used.children_system
        return total

    def pause(self) -> None:
        """Stops all processes, so that an idle server takes nothing from the one measured."""
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def go_on(self) -> None:
        """Ends the pause."""
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def settle(self) -> None:
        """Waits until it tries no runtime and does no work of its own. Raises Unavailable."""
        end = time.monotonic() + _SETTLE_SECONDS
        before = self.cpu_seconds()
        while time.monotonic() < end:
            time.sleep(_QUIET_SECONDS)
            now = self.cpu_seconds()
            if not self._is_alive():
                raise Unavailable("the server is gone")
            # less than a tenth of one core; ended children are counted when they are reaped
            if not self._is_trying() and now - before < 0.1 * _QUIET_SECONDS:
                return
            before = now
        raise Unavailable(f"the server has not come to rest in {_SETTLE_SECONDS:g} s")

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
    def asked(self) -> Iterator[None]:
        """Runs for the length of the block, else paused."""
        self.go_on()
        try:
            yield
        finally:
            self.pause()


@contextmanager
def running(arguments: list[str], ready_path: str, folder: Path) -> Iterator[Server]:
    """`python ARGUMENTS PORT`, ready when `ready_path` answers 200. Raises Unavailable.

    `folder` is where the service keeps its labels and what it learned of the computer.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments, str(port)],
            cwd=ROOT,
            env=_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        server = Server(port, psutil.Process(process.pid))
        try:
            _wait(process, port, ready_path, log_file=log.fileno())
            yield server
        finally:
            server.go_on()
            left = server.tree()
            process.terminate()
            _, alive = psutil.wait_procs(left, timeout=10)
            for one in alive:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()


def _environment(folder: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KINOLEX_")}
    # a label database of its own, and no trace in the user's folders
    return {**kept, "KINOLEX_DATA_DIR": str(folder)}


def _wait(process: subprocess.Popen[bytes], port: int, path: str, *, log_file: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    told = os.pread(log_file, 1 << 20, 0).decode(errors="replace").split()
    raise Unavailable(f"the server did not start: {' '.join(told)[-300:]}")


class MemoryWatch:
    """Peak resident memory of a server's processes together while the block runs, in MiB.

    Each process's own peak is kept by the kernel, so that nothing falls between two looks. Memory
    that processes share counts once for each.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.peak_mib = 0.0

    def __enter__(self) -> "MemoryWatch":
        restart_peaks(self._server)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            last = self._over.wait(_LOOK_SECONDS)
            self.peak_mib = max(self.peak_mib, peak_mib(self._server))
            if last:
                return


def restart_peaks(server: Server) -> None:
    """From here on `peak_mib` tells of what comes."""
    for process in server.tree():
        with suppress(OSError):
            # the kernel's way to start a new peak: proc(5), clear_refs
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def peak_mib(server: Server) -> float:
    """Peak resident memory of the processes that a server has now, together, in MiB."""
    return sum(_peak_mib(process.pid) for process in server.tree())


def _peak_mib(pid: int) -> float:
    with suppress(OSError, StopIteration):
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / _MIB
    return 0.0
