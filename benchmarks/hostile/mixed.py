"""Send 10,000 requests and watch what the service holds: `python -m benchmarks.hostile.mixed`.

Four clients with an API key send videos of every container, mutated ones, texts, labels, searches,
jobs, kept videos and requests that are refused; some hang up. After each block of requests, when no
job is left, memory, descriptors, threads and shared memory are read. Prints one JSON line last; the
exit status is 1 if one of them grows, or if an answer has another status than its kind allows.
"""

import argparse
import http.client
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from app.settings import Settings
from benchmarks.fuzz import over_http
from benchmarks.fuzz.seeds import seed_videos
from benchmarks.harness.servers import Server, running
from benchmarks.hostile.requests_of_every_kind import Ask, Asks
from benchmarks.hostile.soak import Footprint
from benchmarks.speed.serving import SERVICE
from tests.support.keys import ALL_SCOPES, bearer, issue_key

# Growth that is allowed per 1,000 requests.
MAX_GROWTH = {"memory_mb": 1.0, "descriptors": 1.0, "threads": 1.0, "shared_mb": 0.1}
SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "KINOLEX_RUNTIME": "eager",
    "KINOLEX_LOG_LEVEL": "error",
}
_CLIENTS = 4
_PATIENCE_SECONDS = 300.0
# At the beginning, caches and pools fill: the slopes are those of what follows.
_WARM_UP_SHARE = 0.2
# Refusals that a busy service may give to anything.
_STATED = {"overloaded", "deadline_exceeded"}
_HUNG_UP = "hung up"


@dataclass(frozen=True, slots=True)
class Held:
    """What a service holds after some requests.

    `memory_mb` is the private memory of the server process and `shared_mb` the shared memory of all
    processes; descriptors and threads are those of all processes.
    """

    requests: int
    memory_mb: float
    descriptors: int
    threads: int
    shared_mb: float

    @classmethod
    def by(cls, server: Server, requests: int) -> "Held":
        """Read what the processes of a server hold."""
        tree, threads, shared = server.tree(), 0, 0.0
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                threads += process.num_threads()
            shared += _mb(process.pid, "RssShmem")
        descriptors = Footprint.of_processes(tree, Path("/nonexistent")).open_files
        memory = _mb(server.process.pid, "RssAnon")
        return cls(requests, round(memory, 2), descriptors, threads, round(shared, 2))


def _mb(pid: int, field: str) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def growth(held: Sequence[Held]) -> dict[str, float]:
    """Return how much each part grows per 1,000 requests, after the warm-up: slopes of lines."""
    kept = [asdict(each) for each in held if each.requests >= _WARM_UP_SHARE * held[-1].requests]
    counts = [each["requests"] / 1000 for each in kept]
    return {
        name: round(statistics.linear_regression(counts, [each[name] for each in kept]).slope, 3)
        for name in MAX_GROWTH
    }


def sent(port: int, ask: Ask, headers: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Send one request on a connection of its own; return its end and the JSON of the answer.

    The end is the status, with the code of a problem, or the name of an error.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        if ask.hangs_up:
            connection.putrequest(ask.method, ask.path)
            for name, value in {**headers, **ask.headers}.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(ask.body)))
            connection.endheaders(ask.body[: len(ask.body) // ask.hangs_up])
            return _HUNG_UP, {}
        connection.request(ask.method, ask.path, ask.body, {**headers, **ask.headers})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__, {}
    finally:
        connection.close()
    read: dict[str, Any] = {}
    if "json" in answer.headers.get("content-type", ""):
        parsed = json.loads(body)
        read = parsed if isinstance(parsed, dict) else {}
    return f"{answer.status} {read.get('code', '')}".strip(), read


def is_foreseen(ask: Ask, end: str) -> bool:
    """Whether a request of this kind may end so."""
    status, _, code = end.partition(" ")
    return end == _HUNG_UP if ask.hangs_up else int(status) in ask.allowed or code in _STATED


def watch(
    server: Server, headers: Mapping[str, str], *, requests: int, block: int, seed: int
) -> Iterator[tuple[Held, Mapping[str, Counter[str]], Sequence[str]]]:
    """Send requests; after each block yield what is held, all ends so far, and what is wrong."""
    asks = Asks(random.Random(seed), seed_videos())
    ends: defaultdict[str, Counter[str]] = defaultdict(Counter)
    wrong: list[str] = []

    def send(ask: Ask) -> None:
        end, read = sent(server.port, ask, headers)
        ends[ask.kind][end] += 1
        asks.learn(ask, read)
        if not (end[:1].isdigit() or ask.hangs_up) or not is_foreseen(ask, end):
            wrong.append(f"{ask.kind}: {ask.method} {ask.path} {end}")

    with ThreadPoolExecutor(_CLIENTS) as clients:
        for first in range(0, requests, block):
            count = min(block, requests - first)
            list(clients.map(send, [asks.next() for _ in range(count)]))
            _wait_for_jobs(server, headers)
            yield Held.by(server, first + count), ends, wrong


def _wait_for_jobs(server: Server, headers: Mapping[str, str]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        lists = (
            sent(server.port, Ask("jobs", "GET", f"/jobs?status={status}"), headers)[1]
            for status in ("queued", "running")
        )
        if not any(page.get("items") for page in lists):
            return
        time.sleep(0.2)


def main() -> int:
    """Run the requests that the options ask for, and print what came of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile.mixed", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--block", type=int, default=250, help="requests between two looks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fake-encoder", action="store_true", help="for a busy computer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        headers = bearer(issue_key(Settings(data_dir=folder), *ALL_SCOPES))
        fake = options.fake_encoder
        command: tuple[Sequence[str], str] = (over_http.SERVICE, "/readyz") if fake else SERVICE
        settings = over_http.SETTINGS if fake else SETTINGS
        with running(*command, folder, settings) as server:
            looks: list[Held] = []
            ends: Mapping[str, Counter[str]] = {}
            wrong: Sequence[str] = ()
            for held, ends, wrong in watch(  # noqa: B007  # the last are printed
                server,
                headers,
                requests=options.requests,
                block=options.block,
                seed=options.seed,
            ):
                looks.append(held)
                print(f"{asdict(held)} {len(wrong)} wrong", flush=True)
    for kind, counts in sorted(ends.items()):
        print(f"{kind}: {dict(counts.most_common())}")
    for line in wrong[:20]:
        print(line, file=sys.stderr)
    grown = growth(looks)
    kept = not wrong and all(grown[part] <= most for part, most in MAX_GROWTH.items())
    result = {
        "requests": options.requests,
        "first": asdict(looks[0]),
        "last": asdict(looks[-1]),
        "growth_per_1000": grown,
        "wrong": len(wrong),
        "kept": kept,
    }
    print(json.dumps(result))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
