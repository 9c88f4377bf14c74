"""Decoders and encoder runtimes without a server, on all cores, in alternating rounds."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.harness.worker_group import Throughput, Unavailable, WorkerGroup

DECODERS = ("libavcodec", "kinolex", "opencv", "torchcodec")
RUNTIMES = ("eager", "compile", "openvino")
PRECISIONS = ("float32", "bfloat16")
# The service tries this one only where bfloat16 fails, and its compilation takes a minute.
_LEFT_OUT = ("compile", "float32")


def measure_decoders(path: Path, *, seconds: float) -> dict[str, Any]:
    """Videos per second of each decoder for the frames that `/classify` uses.

    `over_libavcodec` is a decoder's processor time divided by that of the bound.
    """
    jobs = {name: (f"benchmarks.speed.decoders:{name}", str(path)) for name in DECODERS}
    found = _alternate(jobs, rounds=1, seconds=seconds)
    bound = found["libavcodec"]["cpu_seconds"]
    for figures in found.values():
        if "cpu_seconds" in figures:
            figures["over_libavcodec"] = figures["cpu_seconds"] / bound
    return found


def measure_runtimes(
    network: str, runtimes: Sequence[str], *, rounds: int, seconds: float
) -> dict[str, Any]:
    """Videos per second of a network in each runtime, and the share of the GEMM peak it reaches."""
    from benchmarks.speed.encoders import gigaflops, product_gigaflops

    jobs = {
        f"{runtime} {precision}": ("benchmarks.speed.encoders:encode", network, runtime, precision)
        for runtime, precision in product(runtimes, PRECISIONS)
        if (runtime, precision) != _LEFT_OUT
    }
    peaks = {f"peak {name}": ("benchmarks.speed.encoders:multiply", name) for name in PRECISIONS}
    found = _alternate({**jobs, **peaks}, rounds=rounds, seconds=seconds)
    work = gigaflops(network)
    per_core = {
        name: product_gigaflops() / found.pop(f"peak {name}")["cpu_seconds"] for name in PRECISIONS
    }
    for name, figures in found.items():
        if "cpu_seconds" in figures:
            figures["gigaflops_per_second"] = work / figures["cpu_seconds"]
            figures["share_of_peak"] = (
                figures["gigaflops_per_second"] / per_core[name.partition(" ")[2]]
            )
    return {"gigaflops": work, "peak_gigaflops_per_core": per_core, "runtimes": found}


def best_runtime(runtimes: dict[str, Any]) -> str:
    """The name of the runtime with the most videos per second."""
    known = {name: of["per_second"] for name, of in runtimes.items() if "per_second" in of}
    return max(known, key=known.__getitem__)


def _alternate(
    jobs: Mapping[str, tuple[str, ...]], *, rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """Run each job on all cores, one job after another, and take medians over the rounds."""
    measured: dict[str, list[Throughput]] = {}
    found: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        groups = {}
        for name, job in jobs.items():
            try:
                groups[name] = stack.enter_context(WorkerGroup(*job))
            except Unavailable as error:
                found[name] = {"unavailable": str(error)}
        for _ in range(rounds):
            for name, group in groups.items():
                measured.setdefault(name, []).append(group.round(seconds))
    for name, of_rounds in measured.items():
        found[name] = {
            "per_second": statistics.median(one.per_second for one in of_rounds),
            "cpu_seconds": statistics.median(one.cpu_seconds for one in of_rounds),
        }
    return found
