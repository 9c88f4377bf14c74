"""Overload the service with four times its capacity: `python -m benchmarks.hostile.soak`.

Starts `kinolex serve`, measures its capacity, then sends a multiple of that, each request on a new
connection; some clients hang up. Checks that an accepted request is answered before its deadline,
that the others get 503 quickly, and that afterwards the service holds no more descriptors,
processes, shared memory and temporary files than before. Prints one JSON line last; the exit status
is 1 if a check failed.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness.clips import SMALL, encoded
from benchmarks.harness.load import percentile
from benchmarks.harness.servers import Server, processes_of, running
from benchmarks.speed.serving import SERVICE

_HUNG_UP = "hung up"
_HANG_UP_SHARE = 0.05
_REFUSAL_SECONDS = 0.05
_CAPACITY_SECONDS = 12.0
_CAPACITY_CLIENTS = 4
_CALM_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """End of a request: status or error name; seconds from connecting to the answer's head."""

    status: str
    seconds: float
    code: str = ""
    retry_after: int = 0


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a server holds: open files of all its processes, processes, files it has made.

    Files of the database are not counted: its pool opens connections under load and keeps them.
    """

    open_files: int
    processes: int
    shared_memory: int
    temporary_files: int

    @classmethod
    def of(cls, pid: int, folder: Path) -> "Footprint":
        """Footprint of a process and its descendants; `folder` is where uploads go."""
        return cls.of_processes(processes_of(psutil.Process(pid)), folder)

    @classmethod
    def of_processes(cls, processes: Sequence[psutil.Process], folder: Path) -> "Footprint":
        """Footprint of these processes; `folder` is where uploads go."""
        return cls(
            open_files=sum(_open_files(one.pid) for one in processes),
            processes=len(processes),
            shared_memory=_count(Path("/dev/shm")),
            temporary_files=_count(folder),
        )


def _open_files(pid: int) -> int:
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0
    return sum(not _is_of_database(descriptor) for descriptor in descriptors)


def _is_of_database(descriptor: Path) -> bool:
    try:
        return ".sqlite" in descriptor.readlink().name
    except OSError:
        return False


def _count(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0


def leaked(before: Footprint, after: Footprint) -> bool:
    """Whether any part of the footprint has grown."""
    pairs = zip(asdict(before).values(), asdict(after).values(), strict=True)
    return any(later > earlier for earlier, later in pairs)


async def ask(port: int, video: bytes, path: str, patience_seconds: float = 120.0) -> Outcome:
    """Send the video on a connection of its own; hangs up after `patience_seconds`."""
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
    """Answers per second of a few closed-loop clients."""
    end = time.perf_counter() + seconds
    done = 0

    async def client() -> None:
        nonlocal done
        while time.perf_counter() < end:
            answer = await ask(port, video, path)
            # not `done += (await ...)`: that would add to the value from before the wait
            done += answer.status == "200"

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(_CAPACITY_CLIENTS)))
    return done / (time.perf_counter() - started)


async def overload(
    port: int, video: bytes, path: str, *, per_second: float, seconds: float
) -> list[Outcome]:
    """Send requests at random times, whether earlier ones are answered or not."""
    chance = random.Random(0)
    tasks: list[asyncio.Task[Outcome]] = []
    now = time.perf_counter()
    end = now + seconds
    while now < end:
        patience = chance.random() if chance.random() < _HANG_UP_SHARE else 120.0
        tasks.append(asyncio.create_task(ask(port, video, path, patience)))
        now += chance.expovariate(per_second)
        await asyncio.sleep(max(0.0, now - time.perf_counter()))
    return await asyncio.gather(*tasks)


def summary(outcomes: Sequence[Outcome], timeout_seconds: float) -> dict[str, Any]:
    """The figures of an overload."""
    accepted = [one.seconds for one in outcomes if one.status == "200"]
    refused = [one for one in outcomes if one.code == "overloaded"]
    refusals = [one.seconds for one in refused]
    return {
        "requests": len(outcomes),
        "accepted": len(accepted),
        "accepted_p50_s": round(_percentile(accepted, 50), 3),
        "accepted_p99_s": round(_percentile(accepted, 99), 3),
        "accepted_late": sum(seconds > timeout_seconds for seconds in accepted),
        "missed_deadline": sum(one.code == "deadline_exceeded" for one in outcomes),
        "refused": len(refused),
        "refused_p50_ms": round(1000 * _percentile(refusals, 50), 1),
        "refused_p99_ms": round(1000 * _percentile(refusals, 99), 1),
        "retry_after_s": sorted({one.retry_after for one in refused}),
        "others": dict(Counter(_name(o) for o in outcomes if not _is_foreseen(o))),
    }


def _percentile(values: Sequence[float], percent: float) -> float:
    return percentile(values, percent) if values else 0.0


def _is_foreseen(outcome: Outcome) -> bool:
    return outcome.status == "200" or outcome.code in ("overloaded", "deadline_exceeded")


def _name(outcome: Outcome) -> str:
    return f"{outcome.status} {outcome.code}".strip()


def failed_checks(measured: dict[str, Any]) -> list[str]:
    """A sentence for each check that these figures fail."""
    others = {status for status in measured["others"] if status != _HUNG_UP}
    checks = {
        "an accepted request was late": measured["accepted_late"] == 0,
        "an accepted request missed its deadline": measured["missed_deadline"] == 0,
        "refusals were slow": measured["refused_p99_ms"] <= 1000 * _REFUSAL_SECONDS,
        "a refusal came without Retry-After": 0 not in measured["retry_after_s"],
        f"there were other answers: {sorted(others)}": not others,
        "no request was refused": measured["refused"] > 0,
        "no request was accepted": measured["accepted"] > 0,
        "the overload was too small": measured["offered_per_s"] * measured["seconds"]
        > 0.85 * measured["times"] * measured["accepted"],
        "the footprint has grown": not leaked(
            Footprint(**measured["before"]), Footprint(**measured["after"])
        ),
    }
    return [sentence for sentence, passed in checks.items() if not passed]


@contextmanager
def serving(folder: Path, timeout_seconds: float) -> Iterator[Server]:
    """Run `kinolex serve` with the shipped checkpoint; uploads go through files in `folder`."""
    uploads = folder / "uploads"
    uploads.mkdir()
    settings = {
        "HF_HUB_OFFLINE": "1",
        "KINOLEX_UPLOAD_DIR": str(uploads),
        # smaller than the video: uploads go through files, which could be left behind
        "KINOLEX_UPLOAD_MEMORY_BYTES": "65536",
        "KINOLEX_REQUEST_TIMEOUT_SECONDS": str(timeout_seconds),
        "KINOLEX_LOG_LEVEL": "warning",
    }
    with running(*SERVICE, folder / "data", settings) as server:
        yield server


async def soak(
    pid: int, port: int, folder: Path, *, seconds: float, times: float, timeout_seconds: float
) -> dict[str, Any]:
    """Overload the server and return the figures."""
    video = encoded(SMALL, folder).read_bytes()
    path = "/classify"
    await asyncio.gather(*(ask(port, video, path) for _ in range(8)))
    before = await _calm(pid, folder, None)
    per_second = await capacity(port, video, path, min(_CAPACITY_SECONDS, seconds))
    outcomes = await overload(port, video, path, per_second=times * per_second, seconds=seconds)
    after = await _calm(pid, folder, before)
    return {
        "seconds": seconds,
        "cpus": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 1),
        "times": times,
        "capacity_per_s": round(per_second, 2),
        "offered_per_s": round(len(outcomes) / seconds, 2),
        "timeout_s": timeout_seconds,
        **summary(outcomes, timeout_seconds),
        "before": asdict(before),
        "after": asdict(after),
    }


async def _calm(pid: int, folder: Path, wanted: Footprint | None) -> Footprint:
    """The footprint once it is no larger than `wanted`, or after `_CALM_SECONDS`."""
    end = time.monotonic() + (_CALM_SECONDS if wanted else 3.0)
    while True:
        seen = Footprint.of(pid, folder / "uploads")
        if (wanted and not leaked(wanted, seen)) or time.monotonic() > end:
            return seen
        await asyncio.sleep(0.2)


def main() -> int:
    """Run the command line: measure, print the figures and the failed checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the overload")
    parser.add_argument(
        "--times", type=float, default=4.0, help="requests, as a multiple of the capacity"
    )
    parser.add_argument("--timeout", type=float, default=10.0, help="each request's deadline")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        serving(Path(name), options.timeout) as server,
    ):
        # the runtime trial would take processor time from the service
        server.settle()
        figures = asyncio.run(
            soak(
                server.process.pid,
                server.port,
                Path(name),
                seconds=options.seconds,
                times=options.times,
                timeout_seconds=options.timeout,
            )
        )
    failed = failed_checks(figures)
    for sentence in failed:
        print(sentence, file=sys.stderr)
    print(json.dumps({**figures, "kept": not failed}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
