"""Four times more requests than a server can answer: `python -m benchmarks.soak`.

Starts `kinolex serve`, measures how much it can do, then offers a multiple of that for a while, one
new connection per request, some of which hang up. Checks what is promised under overload: whoever
is let in gets an answer before the deadline, the others a quick 503, and afterwards descriptors,
processes, shared memory and temporary files are what they were. Prints one JSON line last; the
exit status is 1 when a promise was broken.
"""

import argparse
import asyncio
import json
import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.clips import SMALL, encoded
from benchmarks.servers import Server

ROOT = Path(__file__).resolve().parent.parent
_HUNG_UP = "hung up"
_HANG_UP_SHARE = 0.05
_REFUSAL_SECONDS = 0.05
_CAPACITY_SECONDS = 12.0
_CAPACITY_CLIENTS = 4
_CALM_SECONDS = 30.0
_START_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: its status, or in words; seconds from connecting to the answer."""

    status: str
    seconds: float
    code: str = ""
    retry_after: int = 0


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a server holds: open files of all its processes, their number, names left behind."""

    open_files: int
    processes: int
    shared_memory: int
    temporary_files: int

    @classmethod
    def of(cls, pid: int, folder: Path) -> "Footprint":
        """That of the process and its children; `folder` is where uploads go."""
        pids = list(family(pid))
        return cls(
            open_files=sum(_count(Path(f"/proc/{one}/fd")) for one in pids),
            processes=len(pids),
            shared_memory=_count(Path("/dev/shm")),
            temporary_files=_count(folder),
        )


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from family(int(child))


def _count(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that this share of all do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0


def leaked(before: Footprint, after: Footprint) -> bool:
    """Whether there is more of anything than there was."""
    pairs = zip(asdict(before).values(), asdict(after).values(), strict=True)
    return any(later > earlier for earlier, later in pairs)


async def ask(port: int, video: bytes, path: str, patience_seconds: float = 120.0) -> Outcome:
    """Sends the video on a connection of its own; a client without patience hangs up."""
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: video/mp4\r\n"
        writer.write(f"{head}Content-Length: {len(video)}\r\n\r\n".encode() + video)
        async with asyncio.timeout(patience_seconds):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            seconds = time.perf_counter() - started
            headers = dict(line.split(": ", 1) for line in lines[1:] if line)
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
        retry_after = int(headers.get("retry-after", 0))
        return Outcome(lines[0].split()[1], seconds, body.get("code", ""), retry_after)
    except TimeoutError:
        return Outcome(_HUNG_UP, time.perf_counter() - started)
    except (OSError, asyncio.IncompleteReadError) as error:
        return Outcome(type(error).__name__, time.perf_counter() - started)
    finally:
        writer.close()


async def capacity(port: int, video: bytes, path: str, seconds: float) -> float:
    """Answers per second of a few clients that each wait for their answer."""
    end = time.perf_counter() + seconds
    done = 0

    async def client() -> None:
        nonlocal done
        while time.perf_counter() < end:
            answer = await ask(port, video, path)
            # not in one expression: it would add to what `done` was before the others' answers
            done += answer.status == "200"

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(_CAPACITY_CLIENTS)))
    return done / (time.perf_counter() - started)


async def overload(
    port: int, video: bytes, path: str, *, per_second: float, seconds: float
) -> list[Outcome]:
    """Requests at random moments, whether earlier ones were answered or not."""
    chance = random.Random(0)
    asked: list[asyncio.Task[Outcome]] = []
    now = time.perf_counter()
    end = now + seconds
    while now < end:
        patience = chance.random() if chance.random() < _HANG_UP_SHARE else 120.0
        asked.append(asyncio.create_task(ask(port, video, path, patience)))
        now += chance.expovariate(per_second)
        await asyncio.sleep(max(0.0, now - time.perf_counter()))
    return await asyncio.gather(*asked)


def summary(outcomes: Sequence[Outcome], timeout_seconds: float) -> dict[str, Any]:
    """What the judge wants to know of an overload."""
    accepted = [one.seconds for one in outcomes if one.status == "200"]
    refused = [one for one in outcomes if one.code == "overloaded"]
    quick = [one.seconds for one in refused]
    return {
        "requests": len(outcomes),
        "accepted": len(accepted),
        "accepted_p50_s": round(percentile(accepted, 0.5), 3),
        "accepted_p99_s": round(percentile(accepted, 0.99), 3),
        "accepted_late": sum(seconds > timeout_seconds for seconds in accepted),
        "missed_deadline": sum(one.code == "deadline_exceeded" for one in outcomes),
        "refused": len(refused),
        "refused_p50_ms": round(1000 * percentile(quick, 0.5), 1),
        "refused_p99_ms": round(1000 * percentile(quick, 0.99), 1),
        "retry_after_s": sorted({one.retry_after for one in refused}),
        "others": dict(Counter(_name(o) for o in outcomes if not _is_foreseen(o))),
    }


def _is_foreseen(outcome: Outcome) -> bool:
    return outcome.status == "200" or outcome.code in ("overloaded", "deadline_exceeded")


def _name(outcome: Outcome) -> str:
    return f"{outcome.status} {outcome.code}".strip()


def broken_promises(measured: dict[str, Any]) -> list[str]:
    """A sentence for each promise that these figures break."""
    others = {status for status in measured["others"] if status != _HUNG_UP}
    checks = {
        "an accepted request was late": measured["accepted_late"] == 0,
        "an accepted request missed its deadline": measured["missed_deadline"] == 0,
        "refusals were slow": measured["refused_p99_ms"] <= 1000 * _REFUSAL_SECONDS,
        "a refusal came without Retry-After": 0 not in measured["retry_after_s"],
        f"something else was answered: {sorted(others)}": not others,
        "nobody was refused": measured["refused"] > 0,
        "nobody was let in": measured["accepted"] > 0,
        "it was no such overload": measured["offered_per_s"] * measured["seconds"]
        > 0.85 * measured["times"] * measured["accepted"],
        "something leaked": not leaked(
            Footprint(**measured["before"]), Footprint(**measured["after"])
        ),
    }
    return [sentence for sentence, kept in checks.items() if not kept]


@contextmanager
def serving(folder: Path, timeout_seconds: float) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`kinolex serve` with the shipped checkpoint, ready; uploads go through files in `folder`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    uploads = folder / "uploads"
    uploads.mkdir()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "KINOLEX_DATA_DIR": str(folder / "data"),
        "KINOLEX_UPLOAD_DIR": str(uploads),
        # the film is larger: uploads go through the disk, where files could be left
        "KINOLEX_UPLOAD_MEMORY_BYTES": "65536",
        "KINOLEX_REQUEST_TIMEOUT_SECONDS": str(timeout_seconds),
        "KINOLEX_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "app", "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, env=environment) as server:
        try:
            _wait_until_ready(server, port)
            yield server, port
        finally:
            server.terminate()


def _wait_until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            if b" 200 " in connection.recv(100):
                return
        time.sleep(0.2)
    raise SystemExit("the server did not get ready")


async def soak(
    pid: int, port: int, folder: Path, *, seconds: float, times: float, timeout_seconds: float
) -> dict[str, Any]:
    """The figures of one overload."""
    video = encoded(SMALL, folder).read_bytes()
    path = "/classify"
    await asyncio.gather(*(ask(port, video, path) for _ in range(8)))
    before = await _calm(pid, folder, None)
    can = await capacity(port, video, path, min(_CAPACITY_SECONDS, seconds))
    outcomes = await overload(port, video, path, per_second=times * can, seconds=seconds)
    after = await _calm(pid, folder, before)
    return {
        "seconds": seconds,
        "cpus": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 1),
        "times": times,
        "capacity_per_s": round(can, 2),
        "offered_per_s": round(len(outcomes) / seconds, 2),
        "timeout_s": timeout_seconds,
        **summary(outcomes, timeout_seconds),
        "before": asdict(before),
        "after": asdict(after),
    }


async def _calm(pid: int, folder: Path, wanted: Footprint | None) -> Footprint:
    """The footprint once it is no more than wanted, or when there was time enough for that."""
    end = time.monotonic() + (_CALM_SECONDS if wanted else 3.0)
    while True:
        seen = Footprint.of(pid, folder / "uploads")
        if (wanted and not leaked(wanted, seen)) or time.monotonic() > end:
            return seen
        await asyncio.sleep(0.2)


def main() -> int:
    """Measures, prints the figures, and says which promise was broken."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=120.0, help="length of the overload")
    options.add_argument("--times", type=float, default=4.0, help="how much is offered")
    options.add_argument("--timeout", type=float, default=10.0, help="each request's deadline")
    given = options.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        serving(Path(name), given.timeout) as (server, port),
    ):
        # it looks for the fastest runtime beside its first answers
        Server(port, psutil.Process(server.pid)).settle()
        figures = asyncio.run(
            soak(
                server.pid,
                port,
                Path(name),
                seconds=given.seconds,
                times=given.times,
                timeout_seconds=given.timeout,
            )
        )
    broken = broken_promises(figures)
    for sentence in broken:
        print(sentence, file=sys.stderr)
    print(json.dumps({**figures, "kept": not broken}))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
