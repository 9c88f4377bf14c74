"""Served videos per second against the bound and against what one would write without Kinolex."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.crew import CORES, Crew, Unavailable
from benchmarks.load import Body, fetch, percentile, run_clients
from benchmarks.servers import Server, peak_mib, restart_peaks, running

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
    """How one clip is served: rounds in which everybody takes a turn, and the turns' lengths."""

    path: Path
    rounds: int
    seconds: float
    clients: Sequence[int]
    rival_seconds: float
    rival_clients: Sequence[int]


class Servers:
    """The service and its rivals, all started, all but the one that is asked paused."""

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
    """All servers and the bound on one clip, in turns; ratios are taken within a round."""
    body = Body.form(plan.path)
    turns: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    bounds: list[dict[str, float]] = []
    with Crew("benchmarks.bound:video", str(plan.path), *best_encoder) as crew:
        for name, server in servers.running.items():
            with server.asked():
                first = run_clients(server.port, "/classify", body, clients=1, seconds=0)
            if first.errors:
                servers.missing[name] = first.errors[0]
        for _ in range(plan.rounds):
            # around the service's turns: it, too, is taken at its best of several
            found = [_bound(crew, plan.seconds)]
            for name, server in servers.running.items():
                if name in servers.missing:
                    continue
                ours = name == KINOLEX
                for place, clients in enumerate(plan.clients if ours else plan.rival_clients):
                    seconds = plan.seconds if ours else plan.rival_seconds
                    turns[name][clients].append(_turn(server, body, clients, seconds))
                    if ours and place % 2:
                        found.append(_bound(crew, plan.seconds))
            bounds.append(max(found, key=_per_second))
    return {
        "bound": _medians(bounds),
        "servers": {
            name: {str(clients): _medians(of_load) for clients, of_load in by_clients.items()}
            for name, by_clients in turns.items()
        },
        **_ratios(bounds, turns),
    }


def _bound(crew: Crew, seconds: float) -> dict[str, float]:
    """Videos per second if nothing cost anything but decoding and encoding, all cores busy."""
    pace = crew.round(seconds)
    return {"per_second": pace.per_second, "cpu_seconds": pace.cpu_seconds}


def _per_second(bound: Mapping[str, float]) -> float:
    return bound["per_second"]


def _turn(server: Server, body: Body, clients: int, seconds: float) -> dict[str, Any]:
    with server.asked():
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


def _medians(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median over rounds of each figure; percentiles are of all rounds' answers together."""
    result: dict[str, Any] = {
        name: statistics.median(turn[name] for turn in turns)
        for name in turns[0]
        if name not in ("latencies", "errors")
    }
    if "latencies" in turns[0]:
        latencies = [seconds for turn in turns for seconds in turn["latencies"]]
        result["answers"] = len(latencies)
        result["errors"] = sum(turn["errors"] for turn in turns)
        result["p50_seconds"] = percentile(latencies, 50)
        result["p99_seconds"] = percentile(latencies, 99)
    return result


def _ratios(
    bounds: Sequence[Mapping[str, float]],
    turns: Mapping[str, Mapping[int, Sequence[Mapping[str, Any]]]],
) -> dict[str, Any]:
    """What is judged, of one clip: each a median over the rounds.

    The ratios whose names begin with `cpu_` compare processor time instead of videos per second:
    neighbours on the computer hardly change them.
    """
    ours = turns[KINOLEX]
    best = _best(ours)
    bound = [each["per_second"] for each in bounds]
    result: dict[str, Any] = {
        "served_over_bound": statistics.median(
            mine / possible for mine, possible in zip(best, bound, strict=True)
        )
    }
    for name, by_clients in turns.items():
        if name != KINOLEX:
            result[f"times_{name}"] = statistics.median(
                mine / theirs for mine, theirs in zip(best, _best(by_clients), strict=True)
            )
    result["cpu_served_over_bound"] = statistics.median(
        each["cpu_seconds"] for each in bounds
    ) / _least_cpu(ours)
    for name, by_clients in turns.items():
        if name != KINOLEX:
            result[f"cpu_times_{name}"] = _least_cpu(by_clients) / _least_cpu(ours)
    four = _medians(ours[4 if 4 in ours else max(ours)])
    result["p99_over_p50"] = four["p99_seconds"] / four["p50_seconds"]
    # the rule: at most twice what four requests take when they share the cores
    result["p99_over_fair_share"] = four["p99_seconds"] / (4 * four["cpu_seconds"] / CORES)
    return result


def _least_cpu(by_clients: Mapping[int, Sequence[Mapping[str, Any]]]) -> float:
    """Processor seconds for one video, with the number of clients for which it is the least."""
    return min(
        statistics.median(turn["cpu_seconds"] for turn in of_load)
        for of_load in by_clients.values()
    )


def _best(by_clients: Mapping[int, Sequence[Mapping[str, Any]]]) -> list[float]:
    """In each round, the most videos per second with any number of clients."""
    of_loads = [[turn["per_second"] for turn in of_load] for of_load in by_clients.values()]
    return [max(of_round) for of_round in zip(*of_loads, strict=True)]


def served_runtime(servers: Servers) -> str | None:
    """What the service says that its encoder runs in, None where it did not start."""
    server = servers.running.get(KINOLEX)
    if server is None:
        return None
    with server.asked():
        told = fetch(server.port, "/model")
    return f"{told['runtime']} {told['precision']}"
