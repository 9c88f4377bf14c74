"""Decoders and encoder runtimes without a server, all cores busy, in turns."""

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.crew import Crew, Pace, Unavailable

DECODERS = ("libavcodec", "kinolex", "opencv", "torchcodec")
RUNTIMES = ("eager", "compile", "openvino")
PRECISIONS = ("float32", "bfloat16")
# The service tries it only where bfloat16 fails, and a compilation takes a minute.
_NEVER_SERVED = ("compile", "float32")


def measure_decoders(path: Path, *, seconds: float) -> dict[str, Any]:
    """Videos per second of each decoder, looking at what `/classify` looks at.

    `over_libavcodec` is how many times its processor time the bound's is.
    """
    jobs = {name: (f"benchmarks.decoders:{name}", str(path)) for name in DECODERS}
    found = _in_turns(jobs, rounds=1, seconds=seconds)
    bound = found["libavcodec"]["cpu_seconds"]
    for figures in found.values():
        if "cpu_seconds" in figures:
            figures["over_libavcodec"] = figures["cpu_seconds"] / bound
    return found


def measure_runtimes(
    network: str, runtimes: Sequence[str], *, rounds: int, seconds: float
) -> dict[str, Any]:
    """Videos per second of a network in each runtime, and the share of the GEMM peak it reaches."""
    from benchmarks.encoders import gigaflops, product_gigaflops

    jobs = {
        f"{runtime} {precision}": ("benchmarks.encoders:encode", network, runtime, precision)
        for runtime, precision in product(runtimes, PRECISIONS)
        if (runtime, precision) != _NEVER_SERVED
    }
    peaks = {f"peak {name}": ("benchmarks.encoders:multiply", name) for name in PRECISIONS}
    found = _in_turns({**jobs, **peaks}, rounds=rounds, seconds=seconds)
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
    """The name of the one with the most videos per second."""
    known = {name: of["per_second"] for name, of in runtimes.items() if "per_second" in of}
    return max(known, key=known.__getitem__)


def _in_turns(
    jobs: dict[str, tuple[str, ...]], *, rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
    paces: dict[str, list[Pace]] = {}
    found: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        crews = {}
        for name, job in jobs.items():
            try:
                crews[name] = stack.enter_context(Crew(*job))
            except Unavailable as error:
                found[name] = {"unavailable": str(error)}
        for _ in range(rounds):
            for name, crew in crews.items():
                paces.setdefault(name, []).append(crew.round(seconds))
    for name, of_rounds in paces.items():
        found[name] = {
            "per_second": statistics.median(pace.per_second for pace in of_rounds),
            "cpu_seconds": statistics.median(pace.cpu_seconds for pace in of_rounds),
        }
    return found
