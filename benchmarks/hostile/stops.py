"""Stop the service with SIGTERM under load, again and again: `python -m benchmarks.hostile.stops`.

Clients classify a video without a pause, some over one connection, some over a new one each time.
Checks that the service exits with 0 within its grace time and that each request that it accepted
has a proper answer. Prints one JSON line last; the exit status is 1 if a check failed.
"""

import argparse
import asyncio
import json
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.clips import SMALL, encoded
from tests.support.ports import free_port

SERVE = ("-m", "app", "serve", "--port", "{port}", "--workers", "{workers}")
REFUSED = "refused"
# answers that say what to do; every other end of a request is a lost request
_PROPER = {"200", "503 shutting_down", "503 overloaded", REFUSED}
_CLIENTS = 3
_START_SECONDS = 900.0
_MAX_LOAD_SECONDS = 2.0
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop: exit code, seconds from the signal to the end, and how the requests ended."""

    exit_code: int
    seconds: float
    ends: Mapping[str, int]

    def faults(self, grace_seconds: float) -> list[str]:
        """What is wrong with the stop."""
        faults = [f"{count} x {end}" for end, count in self.ends.items() if end not in _PROPER]
        if self.exit_code != 0:
            faults.append(f"exit code {self.exit_code}")
        if self.seconds > grace_seconds:
            faults.append(f"ended after {self.seconds:.1f} s")
        if not self.ends.get("200"):
            faults.append("no request was answered")
        return faults


@dataclass(frozen=True, slots=True)
class Service:
    """A program that serves: its arguments for Python, its folder, settings and processes."""

    command: Sequence[str]
    folder: Path
    settings: Mapping[str, str]
    workers: int

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Running"]:
        """Start the program and wait until it is ready; kill it at the end if it still runs."""
        port = free_port()
        arguments = [part.format(port=port, workers=self.workers) for part in self.command]
        data = str(self.folder / "data")
        with (self.folder / "server.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                env={**os.environ, "KINOLEX_DATA_DIR": data, **self.settings},
                stdout=log,
                stderr=log,
            )
        running = Running(process, port)
        try:
            await running.wait_until_ready()
            yield running
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs on a port of this computer."""

    process: asyncio.subprocess.Process
    port: int

    async def stop(self) -> int:
        """Send SIGTERM, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()

    async def ask(
        self, path: str, video: bytes | None = None, *, accept: str = "*/*"
    ) -> tuple[str, bytes]:
        """Send a request over a connection of its own; return status and body."""
        head = f"{'POST' if video else 'GET'} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += f"Connection: close\r\nAccept: {accept}\r\n"
        if video:
            head += f"Content-Type: video/mp4\r\nContent-Length: {len(video)}\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"{head}\r\n".encode() + (video or b""))
            answer, _, body = (await reader.read()).partition(b"\r\n\r\n")
            if not answer:
                raise ConnectionResetError("no answer")
            return answer.split()[1].decode(), body
        finally:
            writer.close()

    async def wait_until_ready(self) -> None:
        """Wait for /readyz. Raises RuntimeError if the server ends, or TimeoutError."""
        async with asyncio.timeout(_START_SECONDS):
            while True:
                if self.process.returncode is not None:
                    raise RuntimeError(f"the server ended with {self.process.returncode}")
                with suppress(OSError):
                    status, _ = await self.ask("/readyz")
                    if status == "200":
                        return
                await asyncio.sleep(0.1)

    async def working(self) -> int:
        """Return the number of requests that are decoded or encoded."""
        _, page = await self.ask("/metrics")
        [value] = re.findall(rb"^kinolex_videos_working (.*)$", page, re.MULTILINE)
        return int(float(value))


async def stop_under_load(service: Service, video: bytes, chance: random.Random) -> Stop:
    """Start a server, load it, send it SIGTERM, and return how it ended."""
    async with service.running() as running:
        ends: Counter[str] = Counter()
        clients = [
            asyncio.create_task(_client(running.port, video, ends, keeps=number % 2 == 0))
            for number in range(2 * _CLIENTS)
        ]
        while not ends["200"]:  # noqa: ASYNC110  # a busy computer takes its time
            await asyncio.sleep(0.01)
        await asyncio.sleep(chance.uniform(0.0, _MAX_LOAD_SECONDS))
        sent = time.monotonic()
        exit_code = await running.stop()
        seconds = time.monotonic() - sent
        await asyncio.gather(*clients)
        return Stop(exit_code, seconds, ends)


async def _client(port: int, video: bytes, ends: Counter[str], *, keeps: bool) -> None:
    """Send one request after another until the port is closed."""
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    head = f"POST /classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(video)}\r\n"
    message = f"{head}Content-Type: video/mp4\r\n\r\n".encode() + video
    while True:
        if connection is None:
            try:
                async with asyncio.timeout(30):
                    connection = await asyncio.open_connection("127.0.0.1", port)
            except (OSError, TimeoutError):
                ends[REFUSED] += 1
                return
        reader, writer = connection
        try:
            writer.write(message)
            status, code, is_last = await _answer(reader)
            ends[f"{status} {code}".strip()] += 1
            if code:
                await asyncio.sleep(_PAUSE_SECONDS)
        except (OSError, asyncio.IncompleteReadError) as error:
            ends[type(error).__name__] += 1
            is_last = True
        if is_last or not keeps:
            writer.close()
            connection = None


async def _answer(reader: asyncio.StreamReader) -> tuple[str, str, bool]:
    """Return status, problem code, and whether the connection ends after it."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    is_problem = "problem+json" in headers.get("content-type", "")
    code = json.loads(body)["code"] if is_problem else ""
    return lines[0].split()[1], code, headers.get("connection") == "close"


def main() -> int:
    """Stop as often as the options say."""
    parser = argparse.ArgumentParser(description="stop the service with SIGTERM under load")
    parser.add_argument("--count", type=int, default=50, help="number of stops")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grace", type=float, default=30.0, help="grace time, seconds")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    settings = {
        "HF_HUB_OFFLINE": "1",
        "KINOLEX_STOP_GRACE_SECONDS": str(options.grace),
        "KINOLEX_RUNTIME": "eager",
    }
    ends: Counter[str] = Counter()
    longest, faults = 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        video = encoded(SMALL, Path(name)).read_bytes()
        for number in range(options.count):
            # every other one with two processes
            service = Service(SERVE, Path(name), settings, 1 + number % 2)
            stop = asyncio.run(stop_under_load(service, video, chance))
            ends.update(stop.ends)
            longest = max(longest, stop.seconds)
            found = stop.faults(options.grace)
            faults += bool(found)
            print(f"stop {number + 1}: {stop.seconds:.1f} s {dict(stop.ends)} {found or ''}")
    print(
        json.dumps(
            {
                "stops": options.count,
                "with_faults": faults,
                "longest_s": round(longest, 1),
                "requests": dict(ends),
            }
        )
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
