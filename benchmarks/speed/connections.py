"""Compare HTTP protocols of uvicorn: `python -m benchmarks.speed.connections`.

For each protocol: the server's processor time per small request on one connection, and how much of
a header without end it reads, for how much processor time. Prints one JSON line.
"""

import argparse
import json
import socket
import subprocess
import sys
import time
from typing import Any

import psutil
import uvicorn
from starlette.types import Receive, Scope, Send

from app.http.connection import BoundedConnection
from benchmarks.harness.paths import ROOT
from tests.support.ports import free_port

_PROTOCOLS = {"httptools": "httptools", "h11": "h11", "bounded": BoundedConnection}
_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n"
_ENDLESS_BYTES = 8 << 20


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request with two bytes."""
    if scope["type"] != "http":
        return
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def connect(port: int) -> socket.socket:
    """Connect as soon as the server listens."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=600)
        except ConnectionRefusedError:
            time.sleep(0.05)


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def measure(name: str, requests: int) -> dict[str, float]:
    """Figures of one protocol."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.speed.connections", "--serve", name, str(port)]
    with subprocess.Popen(command, cwd=ROOT) as server:
        try:
            with connect(port) as client:
                before = processor_seconds(server.pid)
                for _ in range(requests):
                    client.sendall(_REQUEST)
                    while not client.recv(65536).endswith(b"ok"):
                        pass
                spent = processor_seconds(server.pid) - before
            before, sent = processor_seconds(server.pid), 0
            with connect(port) as client:
                client.sendall(_REQUEST[:-2] + b"X: ")
                try:
                    while sent < _ENDLESS_BYTES:
                        client.sendall(b"a" * 65536)
                        sent += 65536
                except OSError:
                    pass
            endless = processor_seconds(server.pid) - before
        finally:
            server.terminate()
    return {
        "us_per_request": round(1e6 * spent / requests, 1),
        "endless_mib": round(sent / 2**20, 2),
        "endless_s": round(endless, 2),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--serve", nargs=2, metavar=("PROTOCOL", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        name, port = options.serve
        http: Any = _PROTOCOLS[name]
        uvicorn.run(
            answer, port=int(port), http=http, access_log=False, log_level="critical", ws="none"
        )
        return
    print(json.dumps({name: measure(name, options.requests) for name in _PROTOCOLS}))


if __name__ == "__main__":
    main()
