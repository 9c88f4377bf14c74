"""Hang up during a PUT of 50,000 labels: for how long does the server work on?"""

import json
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness.servers import Server
from benchmarks.labels.phrases import phrases
from benchmarks.labels.service import Service, served

_LABELS = 50_000
_WORKING_SECONDS = 3.0
_WATCHED_SECONDS = 10.0
_STEP_SECONDS = 0.1
# Of one core: an idle service takes less.
_WORKING_SHARE = 0.3


def measure() -> dict[str, Any]:
    """Measure `work_after_hang_up_seconds`, and how many labels were stored all the same."""
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as service:
        service.settle()
        before = _count(service)
        server = Server(service.port, psutil.Process(service.process.pid))
        with _putting(service.port, phrases()[:_LABELS]):
            used = server.cpu_seconds()
            time.sleep(_WORKING_SECONDS)
            used = server.cpu_seconds() - used
        worked = _seconds_of_work(server)
        return {
            "work_after_hang_up_seconds": worked,
            "cores_used_before_hang_up": used / _WORKING_SECONDS,
            "stored_after_hang_up": _count(service) - before,
        }


def _putting(port: int, names: Sequence[str]) -> socket.socket:
    """Send the whole request; the connection is closed by the caller."""
    body = json.dumps({"labels": list(names)}).encode()
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(
        b"PUT /labels HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    return connection


def _seconds_of_work(server: Server) -> float:
    """Return when the server last used a share of a core, in seconds from now."""
    start, last = time.monotonic(), 0.0
    before = server.cpu_seconds()
    while (now := time.monotonic() - start) < _WATCHED_SECONDS:
        time.sleep(_STEP_SECONDS)
        used = server.cpu_seconds()
        if used - before > _WORKING_SHARE * _STEP_SECONDS:
            last = now + _STEP_SECONDS
        before = used
    return last


def _count(service: Service) -> int:
    sets = json.loads(service.ask("GET", "/label-sets")[1])["items"]
    return sum(int(each["size"]) for each in sets)
