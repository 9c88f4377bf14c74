"""Measures everything in one run: `python -m benchmarks`, or `make bench`."""

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
from benchmarks.crew import CORES
from benchmarks.judged import judged
from benchmarks.serving import RIVALS, Round, Servers, measure_clip, served_runtime


def main() -> None:
    """The command line."""
    run("benchmarks", __doc__, "latest", measure, report.page)


def measure(cache: Path, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Every figure, in the shape of latest.json; the service keeps its things in `folder`."""
    began = time.monotonic()
    machine = _machine()
    small = clips.encoded(clips.SMALL, cache)
    paths = {clips.SMALL.name: small}
    if not quick:
        for clip in (clips.MIDDLE, clips.LARGE):
            paths[clip.name] = clips.encoded(clip, cache)
    say, keep = _clock(began), partial(_keep, cache / "unfinished.json")
    say("search")
    searched = growth.measure_labels(
        [10, 1_000] if quick else [10, 1_000, 10_000, 100_000, 1_000_000]
    )
    keep({"search": searched})
    say("decoders")
    decode = {
        name: libraries.measure_decoders(path, seconds=0.5 if quick else 2)
        for name, path in paths.items()
    }
    keep({"search": searched, "decode": decode})
    say("runtimes")
    encode = {
        network: libraries.measure_runtimes(
            network,
            libraries.RUNTIMES[:1] if quick else libraries.RUNTIMES,
            rounds=1 if quick else 2,
            seconds=0.5 if quick else 1.5,
        )
        for network in (("shipped",) if quick else ("shipped", "r2plus1d_18"))
    }
    keep({"search": searched, "decode": decode, "encode": encode})
    say("serving")
    serve, runtime, missing = _serving(paths, encode, folder, quick=quick, say=say)
    keep({"search": searched, "decode": decode, "encode": encode, "serve": serve})
    say("growth")
    lengths = growth.videos_of_lengths(("1 s", "10 s") if quick else (), cache)
    sizes = {"340x256": small}
    for name, path in list(paths.items())[1:]:
        sizes[name.replace("60 s ", "")] = clips.shortened(path, 10, cache)
    grown = {
        "duration": growth.measure_videos(lengths, ("video", "segments"), folder),
        "resolution": growth.measure_videos(sizes, ("video",), folder),
        "labels": searched,
    }
    results: dict[str, Any] = {
        "quick": quick,
        "machine": machine,
        "minutes": (time.monotonic() - began) / 60,
        "decode": decode,
        "encode": encode,
        "serve": serve,
        "served_runtime": runtime,
        "growth": grown,
        "unavailable": {**missing, **_unavailable(decode, encode)},
    }
    return {**judged(results), **results}


def _serving(
    paths: dict[str, Path],
    encode: dict[str, Any],
    folder: Path,
    *,
    quick: bool,
    say: Callable[[str], None],
) -> tuple[dict[str, Any], str | None, dict[str, str]]:
    best = libraries.best_runtime(encode["shipped"]["runtimes"]).split()
    serve: dict[str, Any] = {}
    with ExitStack() as stack:
        servers = Servers(stack, () if quick else tuple(RIVALS), folder)
        for place, (name, path) in enumerate(paths.items()):
            say(f"serving {name}")
            plan = Round(
                path,
                # a long clip's answers take so long that one round says as much as several
                rounds=1 if quick else (2, 1, 1)[place],
                seconds=2.0 if quick else (4.0, 12.0, 15.0)[place],
                clients=(1, 4) if quick else (1, 2, 4, 16),
                rival_seconds=4.0,
                # a rival answers a long clip in half a minute with every core busy: more clients
                # would only make the run longer
                rival_clients=((1, 4), (4,), (2,))[place],
            )
            serve[name] = measure_clip(plan, servers, ("shipped", *best))
        return serve, served_runtime(servers), servers.missing


def _keep(file: Path, measured: dict[str, Any]) -> None:
    """Twenty minutes are not lost where a later part fails."""
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


def _clock(began: float) -> Callable[[str], None]:
    return lambda what: print(f"{time.monotonic() - began:6.0f} s  {what}", flush=True)


def _unavailable(*parts: dict[str, Any]) -> dict[str, str]:
    """The reason of everything that could not be measured."""
    decode, encode = parts
    found = {name: of for by_name in decode.values() for name, of in by_name.items()}
    for network, of in encode.items():
        found.update({f"{network} {name}": each for name, each in of["runtimes"].items()})
    return {name: each["unavailable"] for name, each in found.items() if "unavailable" in each}


if __name__ == "__main__":
    main()
