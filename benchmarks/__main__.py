"""Measure everything in one run: `python -m benchmarks`, or `make bench`."""

import asyncio
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av

from benchmarks.harness import clips
from benchmarks.harness.command import run
from benchmarks.harness.worker_group import CORES
from benchmarks.hostile import soak
from benchmarks.speed import growth, libraries, report
from benchmarks.speed.films import measure_film
from benchmarks.speed.judged import judged
from benchmarks.speed.serving import RIVALS, Round, Servers, measure_clip, served_runtime
from benchmarks.speed.starts import measure_starts

# A run ends about then, also on a slow computer: loads of rivals are left out.
_MINUTES = 19.5
_QUICK_RUNTIMES = ("eager", "openvino")
_LENGTHS = ("10 s", "1 min", "10 min", "4 h")
_SOAK_TIMEOUT_SECONDS = 10.0


def main() -> None:
    """Run the command line."""
    run("benchmarks", __doc__, "latest", measure, report.page)


def measure(cache: Path, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Measure every figure, as latest.json has them; services keep their data in `folder`.

    Rivals are measured last, in the time that is left of `_MINUTES`.
    """
    start = time.monotonic()
    measured: dict[str, Any] = {"quick": quick, "machine": _machine()}
    small = clips.encoded(clips.SMALL, cache)
    paths = {clips.SMALL.name: small}
    if not quick:
        for clip in (clips.MIDDLE, clips.LARGE):
            paths[clip.name] = clips.encoded(clip, cache)
    data = folder / "data"
    data.mkdir()

    def part(name: str, make: Callable[[], Any]) -> Any:
        """Measure one part; what was measured so far is not lost if a later part fails."""
        print(f"{time.monotonic() - start:6.0f} s  {name}", flush=True)
        measured[name] = make()
        (cache / "unfinished.json").write_text(json.dumps(measured), encoding="utf-8")
        return measured[name]

    part("starts", lambda: measure_starts(folder / "fresh"))
    counts = [10, 1_000] if quick else [10, 1_000, 10_000, 100_000, 1_000_000]
    searched = part("search", lambda: growth.measure_labels(counts))
    part(
        "decode",
        lambda: {
            name: libraries.measure_decoders(path, seconds=0.5 if quick else 2)
            for name, path in paths.items()
        },
    )
    part("encode", lambda: _encode(quick=quick))
    best = ("shipped", *libraries.best_runtime(measured["encode"]["shipped"]["runtimes"]).split())
    part("refusals", lambda: _refusals(folder, seconds=3.0 if quick else 30.0))
    length, film_seconds = ("1 min", 60.0) if quick else ("10 min", 600.0)
    [film] = growth.videos_of_lengths((length,), cache).values()
    rounds = 1 if quick else 2
    part("film", lambda: measure_film(film, best, data, seconds=film_seconds, rounds=rounds))
    lengths = growth.videos_of_lengths(_LENGTHS[:1] if quick else _LENGTHS, cache)
    sizes = {"340x256": small}
    for name, path in list(paths.items())[1:]:
        sizes[name.replace("60 s ", "")] = clips.shortened(path, 10, cache)
    part(
        "growth",
        lambda: {
            "duration": growth.measure_videos(lengths, ("video", "segments"), data),
            "resolution": growth.measure_videos(sizes, ("video",), data),
            "labels": searched,
        },
    )
    end = start + 60 * _MINUTES
    served, runtime, missing = part("serving", lambda: _serving(paths, best, data, end=end))
    del measured["serving"]
    measured |= {"serve": served, "served_runtime": runtime}
    measured["unavailable"] = {
        **missing,
        **_unavailable(measured["decode"], measured["encode"]),
        **_skipped(measured["serve"]),
    }
    measured["minutes"] = (time.monotonic() - start) / 60
    return {**judged(measured), **measured}


def _encode(*, quick: bool) -> dict[str, Any]:
    return {
        network: libraries.measure_runtimes(
            network,
            libraries.RUNTIMES[:1] if quick else runtimes,
            rounds=1 if quick else 2,
            seconds=0.5 if quick else 1.5,
        )
        # the compilation of R(2+1)D takes minutes
        for network, runtimes in [("shipped", libraries.RUNTIMES), ("r2plus1d_18", _QUICK_RUNTIMES)]
        if network == "shipped" or not quick
    }


def _refusals(folder: Path, *, seconds: float) -> dict[str, Any]:
    """What `make soak` prints, from a shorter overload."""
    with soak.serving(folder, _SOAK_TIMEOUT_SECONDS) as server:
        server.settle()
        return asyncio.run(
            soak.soak(
                server.process.pid,
                server.port,
                folder,
                seconds=seconds,
                times=4.0,
                timeout_seconds=_SOAK_TIMEOUT_SECONDS,
            )
        )


def _serving(
    paths: dict[str, Path], best: Sequence[str], folder: Path, *, end: float
) -> tuple[dict[str, Any], str | None, dict[str, str]]:
    """Measure each clip; rivals have the same share of the time that is left until `end`."""
    quick = len(paths) == 1
    serve: dict[str, Any] = {}
    with ExitStack() as stack:
        servers = Servers(stack, () if quick else tuple(RIVALS), folder)
        for position, (name, path) in enumerate(paths.items()):
            now = time.monotonic()
            print(f"serving {name}, {(end - now) / 60:.1f} minutes are left", flush=True)
            plan = Round(
                path,
                rounds=1,
                seconds=2.0 if quick else (6.0, 8.0, 12.0)[position],
                # a rival needs longer for one long clip
                rival_seconds=(4.0, 2.0, 2.0)[position],
                deadline=now + (end - now) / (len(paths) - position),
            )
            serve[name] = measure_clip(plan, servers, best)
        return serve, served_runtime(servers), servers.missing


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


def _skipped(serve: dict[str, Any]) -> dict[str, str]:
    """The loads of rivals for which no time was left, by clip."""
    return {
        clip: f"no time was left for {', '.join(of['skipped'])}"
        for clip, of in serve.items()
        if of["skipped"]
    }


def _unavailable(*parts: dict[str, Any]) -> dict[str, str]:
    """The reason for each decoder or runtime that could not be measured, by name."""
    decode, encode = parts
    found = {name: of for by_name in decode.values() for name, of in by_name.items()}
    for network, of in encode.items():
        found.update({f"{network} {name}": each for name, each in of["runtimes"].items()})
    return {name: each["unavailable"] for name, each in found.items() if "unavailable" in each}


if __name__ == "__main__":
    main()
