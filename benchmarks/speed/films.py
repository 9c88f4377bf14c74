"""What the service spends on a film, beside the bound of decoding and encoding each frame once."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.load import Body, run_clients
from benchmarks.harness.servers import running
from benchmarks.harness.worker_group import CORES, Unavailable, WorkerGroup
from benchmarks.speed.serving import SERVICE


def measure_film(
    path: Path, best_encoder: Sequence[str], folder: Path, *, seconds: float, rounds: int
) -> dict[str, float]:
    """Ask for the segments of a film of `seconds`, once per core at the same time.

    The bound is measured before and after each round, and its fastest round is taken.
    """
    body = Body.form(path, granularity="segments")
    costs: list[float] = []
    with (
        running(*SERVICE, folder) as server,
        WorkerGroup("benchmarks.speed.bound:film", str(path), *best_encoder) as group,
    ):
        server.settle()
        bounds = [group.round(0.0).cpu_seconds]
        for _ in range(rounds):
            before = server.cpu_seconds()
            load = run_clients(server.port, "/classify", body, clients=CORES, seconds=0)
            if load.errors:
                raise Unavailable(load.errors[0])
            costs.append((server.cpu_seconds() - before) / len(load.latencies))
            bounds.append(group.round(0.0).cpu_seconds)
    return {
        "video_seconds": seconds,
        "cpu_seconds": min(costs),
        "bound_cpu_seconds": min(bounds),
        "video_seconds_per_cpu_second": seconds / min(costs),
        "over_bound": min(bounds) / min(costs),
    }
