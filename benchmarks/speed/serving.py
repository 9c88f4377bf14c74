"""Videos per second of the service, of the bound, and of servers written without Kinolex."""

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.load import Body, fetch, percentile, run_clients
from benchmarks.harness.servers import Server, peak_mib, restart_peaks, running
from benchmarks.harness.worker_group import CORES, Unavailable, WorkerGroup

KINOLEX = "kinolex"
# In the order in which they are measured, most telling first: time may end before the last ones.
CLIENTS = (4, 2, 1, 16)
RIVALS = {
    "obvious": (["-m", "benchmarks.rivals.obvious"], "/healthz"),
    "same_network": (["-m", "benchmarks.rivals.same_network"], "/healthz"),
    "litserve": (["-m", "benchmarks.rivals.litserve_same_network"], "/health"),
    "xclip": (["-m", "benchmarks.rivals.xclip"], "/healthz"),
}
# The service as it is started by `kinolex serve`, every setting at its default.
SERVICE = (["-m", "app", "serve", "--port"], "/readyz")


@dataclass(frozen=True, slots=True)
class Round:
    """How one clip is measured: rounds over all servers, numbers of clients, seconds for each.

    No rival is loaded if that would end after `deadline`, in seconds of the monotonic clock.
    """

    path: Path
    rounds: int
    seconds: float
    rival_seconds: float
    clients: Sequence[int] = CLIENTS
    deadline: float = math.inf


class Servers:
    """The service and its rivals: all are started, and paused unless they are measured."""

    def __init__(self, stack: ExitStack, rivals: Sequence[str], folder: Path) -> None:
        self.running: dict[str, Server] = {}
        self.missing: dict[str, str] = {}
        for name in (KINOLEX, *rivals):
            arguments, ready_path = SERVICE if name == KINOLEX else RIVALS[name]
            try:
                with ExitStack() as starting:
                    server = starting.enter_context(running(arguments, ready_path, folder))
                    server.settle()
                    server.pause()
                    stack.enter_context(starting.pop_all())
            except Unavailable as error:
                self.missing[name] = str(error)
            else:
                self.running[name] = server


def measure_clip(plan: Round, servers: Servers, best_encoder: Sequence[str]) -> dict[str, Any]:
    """Measure all servers and the bound on one clip, one after another; ratios are by round."""
    body = Body.form(plan.path)
    loads: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    bounds: list[dict[str, float]] = []
    skipped: list[str] = []
    with WorkerGroup("benchmarks.speed.bound:video", str(plan.path), *best_encoder) as group:
        alone = _first_answers(servers, body)
        for _ in range(plan.rounds):
            for clients in plan.clients:
                bounds.append(_bound(group, plan.seconds / 2))
                for name, seconds_alone in alone.items():
                    seconds = plan.seconds if name == KINOLEX else plan.rival_seconds
                    # a server that uses all cores for one request answers the others one by one
                    ends = time.monotonic() + seconds + clients * seconds_alone
                    if name != KINOLEX and ends > plan.deadline:
                        skipped.append(f"{name} with {clients} clients")
                        continue
                    load = _load(servers.running[name], body, clients, seconds)
                    loads[name][clients].append(load)
        bounds.append(_bound(group, plan.seconds / 2))
    bound = best_bound(bounds)
    return {
        "bound": bound,
        "servers": {
            name: {str(clients): _medians(by_clients[clients]) for clients in sorted(by_clients)}
            for name, by_clients in loads.items()
        },
        "skipped": skipped,
        **ratios(bound, loads),
    }


def _first_answers(servers: Servers, body: Body) -> dict[str, float]:
    """Seconds of each server's answer to a request alone; a server that fails becomes missing."""
    found: dict[str, float] = {}
    for name, server in servers.running.items():
        if name in servers.missing:
            continue
        with server.resumed():
            first = run_clients(server.port, "/classify", body, clients=1, seconds=0)
        if first.errors:
            servers.missing[name] = first.errors[0]
        else:
            found[name] = first.latencies[0]
    return found


def best_bound(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The least processor time for one video over all rounds, and what all cores do with it.

    A server that does the same work cannot beat it: other work on the computer makes a round
    slower, and the fastest round is taken. `clock_per_second` is the most videos per second that a
    round counted; it is lower where other work took the cores.
    """
    cpu_seconds = min(each["cpu_seconds"] for each in rounds)
    return {
        "per_second": CORES / cpu_seconds,
        "cpu_seconds": cpu_seconds,
        "clock_per_second": max(each["per_second"] for each in rounds),
    }


def _bound(group: WorkerGroup, seconds: float) -> dict[str, float]:
    """Videos per second of decoding and encoding alone, with all cores busy."""
    throughput = group.round(seconds)
    return {"per_second": throughput.per_second, "cpu_seconds": throughput.cpu_seconds}


def _load(server: Server, body: Body, clients: int, seconds: float) -> dict[str, Any]:
    """Load a server; `per_second` is for the time in which all clients wait for an answer.

    It is the cores that the server keeps busy then, divided by its processor time for one video.
    Counting answers would be off by up to `clients` answers, and those that are in progress at the
    end get faster when no more requests come.
    """
    used: list[tuple[float, float]] = []

    def note() -> None:
        used.append((time.perf_counter(), server.cpu_seconds()))

    with server.resumed():
        restart_peaks(server)
        note()
        load = run_clients(
            server.port, "/classify", body, clients=clients, seconds=seconds, at_end=note
        )
        note()
        peak = peak_mib(server)
    (began, cpu_before), (ended, cpu_at_end), (_, cpu_after) = used
    answers = len(load.latencies)
    cpu_seconds = (cpu_after - cpu_before) / answers if answers else math.nan
    return {
        "per_second": (cpu_at_end - cpu_before) / (ended - began) / cpu_seconds,
        "latencies": load.latencies,
        "cpu_seconds": cpu_seconds,
        "peak_mib": peak,
        "errors": len(load.errors),
    }


def _medians(loads: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Median of each figure over the rounds; percentiles are of the answers of all rounds."""
    result: dict[str, Any] = {
        name: statistics.median(load[name] for load in loads)
        for name in loads[0]
        if name not in ("latencies", "errors")
    }
    if "latencies" in loads[0]:
        latencies = [seconds for load in loads for seconds in load["latencies"]]
        result["answers"] = len(latencies)
        result["errors"] = sum(load["errors"] for load in loads)
        result["p50_seconds"] = percentile(latencies, 50)
        result["p99_seconds"] = percentile(latencies, 99)
    return result


def ratios(
    bound: Mapping[str, float],
    loads: Mapping[str, Mapping[int, Sequence[Mapping[str, Any]]]],
) -> dict[str, Any]:
    """The ratios of one clip, each a median over the rounds.

    A rival is compared at the number of clients at which it answers most videos per second
    (`clients_NAME`), with the service at the same number. Ratios whose names begin with `cpu_`
    compare processor time instead: other work on the computer hardly changes them.
    """
    ours = loads[KINOLEX]
    result: dict[str, Any] = {
        "served_over_bound": max(map(_speed, ours.values())) / bound["per_second"],
        # fewer clients than cores leave a core idle, whose caches the others then use
        "cpu_served_over_bound": bound["cpu_seconds"]
        / min(_cost(load) for clients, load in ours.items() if clients >= min(CORES, max(ours))),
    }
    for name, by_clients in loads.items():
        if name != KINOLEX:
            best = max(by_clients, key=lambda clients: _speed(by_clients[clients]))
            result[f"clients_{name}"] = best
            result[f"times_{name}"] = _speed(ours[best]) / _speed(by_clients[best])
            result[f"cpu_times_{name}"] = _cost(by_clients[best]) / _cost(ours[best])
    four = _medians(ours[4 if 4 in ours else max(ours)])
    result["p99_over_p50"] = four["p99_seconds"] / four["p50_seconds"]
    # what four requests take when they share the cores
    result["p99_over_fair_share"] = four["p99_seconds"] / (4 * four["cpu_seconds"] / CORES)
    return result


def _speed(loads: Sequence[Mapping[str, Any]]) -> float:
    """Median over the rounds of the videos per second."""
    return float(statistics.median(load["per_second"] for load in loads))


def _cost(loads: Sequence[Mapping[str, Any]]) -> float:
    """Median over the rounds of the processor seconds for one video."""
    return float(statistics.median(load["cpu_seconds"] for load in loads))


def served_runtime(servers: Servers) -> str | None:
    """Runtime and precision that the service reports; None if it did not start."""
    server = servers.running.get(KINOLEX)
    if server is None:
        return None
    with server.resumed():
        model = fetch(server.port, "/model")
    return f"{model['runtime']} {model['precision']}"
