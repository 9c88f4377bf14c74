"""Start, use and kill a server with a data folder of its own."""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness.paths import ROOT
from benchmarks.harness.servers import Server, environment
from tests.support.ports import free_port

_START_SECONDS = 900.0
_REQUEST_SECONDS = 1800.0


class Service:
    """A server process and the port that it listens on."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    def ask(
        self, method: str, path: str, body: bytes | None = None, media_type: str = ""
    ) -> tuple[int, bytes]:
        """Status and body of one request on a new connection. Raises OSError if the server ends."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_REQUEST_SECONDS)
        headers = {"Content-Type": media_type} if media_type else {}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def put(
        self, labels: Sequence[str | Mapping[str, object]], path: str = "/labels"
    ) -> Mapping[str, Any]:
        """PUT labels. Raises OSError if the server ends, RuntimeError unless the status is 200."""
        body = json.dumps({"labels": list(labels)}).encode()
        return self._json(*self.ask("PUT", path, body, "application/json"))

    def classify(self, video: bytes, **options: object) -> Mapping[str, Any]:
        """POST a raw video to /classify. Raises the errors of `put`."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return self._json(*self.ask("POST", f"/classify?{query}", video, "video/mp4"))

    def embed(self, video: bytes) -> Mapping[str, Any]:
        """POST a raw video to /embed. Raises the errors of `put`."""
        return self._json(*self.ask("POST", "/embed", video, "video/mp4"))

    def _json(self, status: int, body: bytes) -> Mapping[str, Any]:
        if status != 200:
            raise RuntimeError(f"the server answered {status}: {body[:300]!r}")
        answer: Mapping[str, Any] = json.loads(body)
        return answer

    def memory_bytes(self) -> tuple[int, int]:
        """Resident memory of the server process, and the anonymous part of it, in bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if " kB" in line}
        return sizes["VmRSS"], sizes["RssAnon"]

    def wait_until_ready(self) -> None:
        """Wait until /readyz answers 200. Raises RuntimeError if the process ends first."""
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(OSError):
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the server did not start: {self._log.read_text()[-500:]}")

    def settle(self) -> None:
        """Wait until the runtime trial is over and the server is idle. Raises Unavailable."""
        Server(self.port, psutil.Process(self.process.pid)).settle()

    def stop(self) -> None:
        """End the server with SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def kill(self) -> None:
        """End the server with SIGKILL."""
        self.process.kill()
        self.process.wait()


def start(arguments: Sequence[str], folder: Path, more: Mapping[str, str] | None = None) -> Service:
    """Run `python ARGUMENTS --port PORT` with its data in `folder`; does not wait until ready.

    `more` are settings besides the usual ones.
    """
    port = free_port()
    settings = {
        "KINOLEX_LOG_LEVEL": "warning",
        "KINOLEX_DECODE_WORKERS": "1",
        "KINOLEX_MAX_LABELS": "2000000",
        **(more or {}),
    }
    log = folder / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *arguments, "--port", str(port)],
            cwd=ROOT,
            env=environment(folder, settings),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    return Service(process, port, log)


@contextmanager
def served(folder: Path) -> Iterator[Service]:
    """Run `kinolex serve` with its data in `folder` and wait until it is ready."""
    service = start(["-m", "app", "serve"], folder)
    try:
        service.wait_until_ready()
        yield service
    finally:
        if service.process.poll() is None:
            service.stop()
