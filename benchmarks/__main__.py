"""Measure everything in one run: `python -m benchmarks`, or `make bench`."""

import json
import os
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av

from benchmarks import clips, growth, libraries, report
from benchmarks.command import run
from benchmarks.judged import judged
from benchmarks.serving import RIVALS, Round, Servers, measure_clip, served_runtime
from benchmarks.worker_group import CORES


def main() -> None:
    """Run the command line."""
    run("benchmarks", __doc__, "latest", measure, report.page)


def measure(cache: Path, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Measure every figure, as latest.json has them; the service keeps its data in `folder`."""
    start = time.monotonic()
    machine = _machine()
    small = clips.encoded(clips.SMALL, cache)
    paths = {clips.SMALL.name: small}
    if not quick:
        for clip in (clips.MIDDLE, clips.LARGE):
            paths[clip.name] = clips.encoded(clip, cache)
    log, save = _clock(start), partial(_save, cache / "unfinished.json")
    log("search")
    searched = growth.measure_labels(
        [10, 1_000] if quick else [10, 1_000, 10_000, 100_000, 1_000_000]
    )
    save({"search": searched})
    log("decoders")
    decode = {
        name: libraries.measure_decoders(path, seconds=0.5 if quick else 2)
        for name, path in paths.items()
    }
    save({"search": searched, "decode": decode})
    log("runtimes")
    encode = {
        network: libraries.measure_runtimes(
            network,
            libraries.RUNTIMES[:1] if quick else libraries.RUNTIMES,
            rounds=1 if quick else 2,
            seconds=0.5 if quick else 1.5,
        )
        for network in (("shipped",) if quick else ("shipped", "r2plus1d_18"))
    }
    save({"search": searched, "decode": decode, "encode": encode})
    log("serving")
    serve, runtime, missing = _serving(paths, encode, folder, quick=quick, log=log)
    save({"search": searched, "decode": decode, "encode": encode, "serve": serve})
    log("growth")
    lengths = growth.videos_of_lengths(("1 s", "10 s") if quick else (), cache)
    sizes = {"340x256": small}
    for name, path in list(paths.items())[1:]:
        sizes[name.replace("60 s ", "")] = clips.shortened(path, 10, cache)
    growth_figures = {
        "duration": growth.measure_videos(lengths, ("video", "segments"), folder),
        "resolution": growth.measure_videos(sizes, ("video",), folder),
        "labels": searched,
    }
    results: dict[str, Any] = {
        "quick": quick,
        "machine": machine,
        "minutes": (time.monotonic() - start) / 60,
        "decode": decode,
        "encode": encode,
        "serve": serve,
        "served_runtime": runtime,
        "growth": growth_figures,
        "unavailable": {**missing, **_unavailable(decode, encode)},
    }
    return {**judged(results), **results}


def _serving(
    paths: dict[str, Path],
    encode: dict[str, Any],
    folder: Path,
    *,
    quick: bool,
    log: Callable[[str], None],
) -> tuple[dict[str, Any], str | None, dict[str, str]]:
    best = libraries.best_runtime(encode["shipped"]["runtimes"]).split()
    serve: dict[str, Any] = {}
    with ExitStack() as stack:
        servers = Servers(stack, () if quick else tuple(RIVALS), folder)
        for position, (name, path) in enumerate(paths.items()):
            log(f"serving {name}")
            plan = Round(
                path,
                # a long clip takes so long to answer that one round is as exact as several
                rounds=1 if quick else (2, 1, 1)[position],
                seconds=2.0 if quick else (4.0, 12.0, 15.0)[position],
                clients=(1, 4) if quick else (1, 2, 4, 16),
                rival_seconds=4.0,
                # a rival needs half a minute and every core for a long clip: more clients would
                # only make the run longer
                rival_clients=((1, 4), (4,), (2,))[position],
            )
            serve[name] = measure_clip(plan, servers, ("shipped", *best))
        return serve, served_runtime(servers), servers.missing


def _save(file: Path, measured: dict[str, Any]) -> None:
    """Write the figures so far, which are then not lost if a later part fails."""
    file.write_text(json.dumps(measured), encoding="utf-8")


def _machine() -> dict[str, Any]:
    model_names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "cores": CORES,
        "cpu": model_names[0] if model_names else platform.machine(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
        "load_before": os.getloadavg()[0],
    }


def _clock(start: float) -> Callable[[str], None]:
    return lambda part: print(f"{time.monotonic() - start:6.0f} s  {part}", flush=True)


def _unavailable(*parts: dict[str, Any]) -> dict[str, str]:
    """The reason for each decoder or runtime that could not be measured, by name."""
    decode, encode = parts
    found = {name: of for by_name in decode.values() for name, of in by_name.items()}
    for network, of in encode.items():
        found.update({f"{network} {name}": each for name, each in of["runtimes"].items()})
    return {name: each["unavailable"] for name, each in found.items() if "unavailable" in each}


if __name__ == "__main__":
    main()
