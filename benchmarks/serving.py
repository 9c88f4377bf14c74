"""Videos per second of the service, of the bound, and of servers written without Kinolex."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import Body, fetch, percentile, run_clients
from benchmarks.servers import Server, peak_mib, restart_peaks, running
from benchmarks.worker_group import CORES, Unavailable, WorkerGroup

KINOLEX = "kinolex"
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
    """How one clip is measured: rounds over all servers, numbers of clients, seconds for each."""

    path: Path
    rounds: int
    seconds: float
    clients: Sequence[int]
    rival_seconds: float
    rival_clients: Sequence[int]


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
    with WorkerGroup("benchmarks.bound:video", str(plan.path), *best_encoder) as group:
        for name, server in servers.running.items():
            with server.resumed():
                first = run_clients(server.port, "/classify", body, clients=1, seconds=0)
            if first.errors:
                servers.missing[name] = first.errors[0]
        for _ in range(plan.rounds):
            # between the service's loads too: of both, the best of several is taken
            found = [_bound(group, plan.seconds)]
            for name, server in servers.running.items():
                if name in servers.missing:
                    continue
                ours = name == KINOLEX
                for position, clients in enumerate(plan.clients if ours else plan.rival_clients):
                    seconds = plan.seconds if ours else plan.rival_seconds
                    loads[name][clients].append(_load(server, body, clients, seconds))
                    if ours and position % 2:
                        found.append(_bound(group, plan.seconds))
            bounds.append(max(found, key=_per_second))
    return {
        "bound": _medians(bounds),
        "servers": {
            name: {str(clients): _medians(of_load) for clients, of_load in by_clients.items()}
            for name, by_clients in loads.items()
        },
        **_ratios(bounds, loads),
    }


def _bound(group: WorkerGroup, seconds: float) -> dict[str, float]:
    """Videos per second of decoding and encoding alone, with all cores busy."""
    throughput = group.round(seconds)
    return {"per_second": throughput.per_second, "cpu_seconds": throughput.cpu_seconds}


def _per_second(bound: Mapping[str, float]) -> float:
    return bound["per_second"]


def _load(server: Server, body: Body, clients: int, seconds: float) -> dict[str, Any]:
    with server.resumed():
        restart_peaks(server)
        before = server.cpu_seconds()
        load = run_clients(server.port, "/classify", body, clients=clients, seconds=seconds)
        used = server.cpu_seconds() - before
        peak = peak_mib(server)
    answers = len(load.latencies)
    return {
        "per_second": load.per_second,
        "latencies": load.latencies,
        "cpu_seconds": used / answers if answers else float("nan"),
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


def _ratios(
    bounds: Sequence[Mapping[str, float]],
    loads: Mapping[str, Mapping[int, Sequence[Mapping[str, Any]]]],
) -> dict[str, Any]:
    """The ratios of one clip, each a median over the rounds.

    Those whose names begin with `cpu_` compare processor time instead of videos per second: other
    work on the computer hardly changes them.
    """
    ours = loads[KINOLEX]
    best = _best(ours)
    bound = [each["per_second"] for each in bounds]
    result: dict[str, Any] = {
        "served_over_bound": statistics.median(
            mine / possible for mine, possible in zip(best, bound, strict=True)
        )
    }
    for name, by_clients in loads.items():
        if name != KINOLEX:
            result[f"times_{name}"] = statistics.median(
                mine / theirs for mine, theirs in zip(best, _best(by_clients), strict=True)
            )
    result["cpu_served_over_bound"] = statistics.median(
        each["cpu_seconds"] for each in bounds
    ) / _min_cpu(ours)
    for name, by_clients in loads.items():
        if name != KINOLEX:
            result[f"cpu_times_{name}"] = _min_cpu(by_clients) / _min_cpu(ours)
    four = _medians(ours[4 if 4 in ours else max(ours)])
    result["p99_over_p50"] = four["p99_seconds"] / four["p50_seconds"]
    # what four requests take when they share the cores
    result["p99_over_fair_share"] = four["p99_seconds"] / (4 * four["cpu_seconds"] / CORES)
    return result


def _min_cpu(by_clients: Mapping[int, Sequence[Mapping[str, Any]]]) -> float:
    """Minimum over the numbers of clients of the processor seconds for one video."""
    medians: list[float] = [
        statistics.median(load["cpu_seconds"] for load in of_load)
        for of_load in by_clients.values()
    ]
    return min(medians)


def _best(by_clients: Mapping[int, Sequence[Mapping[str, Any]]]) -> list[float]:
    """By round, the maximum over the numbers of clients of the videos per second."""
    of_loads = [[load["per_second"] for load in of_load] for of_load in by_clients.values()]
    return [max(of_round) for of_round in zip(*of_loads, strict=True)]


def served_runtime(servers: Servers) -> str | None:
    """Runtime and precision that the service reports; None if it did not start."""
    server = servers.running.get(KINOLEX)
    if server is None:
        return None
    with server.resumed():
        model = fetch(server.port, "/model")
    return f"{model['runtime']} {model['precision']}"
