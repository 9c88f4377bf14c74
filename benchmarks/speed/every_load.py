"""Measure the service and its rivals on every clip with 1, 2, 4 and 16 clients each.

`python -m benchmarks.speed.every_load`, or `make bench-rivals`; it takes half an hour. `make bench`
does the same within 20 minutes, and leaves out loads of rivals for which no time is left.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.harness import clips
from benchmarks.harness.command import run
from benchmarks.speed import report
from benchmarks.speed.serving import RIVALS, Round, Servers, measure_clip, served_runtime


def main() -> None:
    """Run the command line."""
    run("benchmarks.speed.every_load", __doc__, "every_load", measure, report.every_load_page)


def measure(cache: Path, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Measure the figures of each clip, as `latest.json` has them under `serve`."""
    start = time.monotonic()
    serve: dict[str, Any] = {}
    with ExitStack() as stack:
        servers = Servers(stack, () if quick else tuple(RIVALS), folder)
        # the bound encodes in the runtime that the service has chosen
        runtime = (served_runtime(servers) or "eager float32").split()
        for clip in (clips.SMALL,) if quick else (clips.SMALL, clips.MIDDLE, clips.LARGE):
            print(f"{time.monotonic() - start:6.0f} s  {clip.name}", flush=True)
            seconds = 1.0 if quick else 6.0
            plan = Round(
                clips.encoded(clip, cache),
                rounds=1,
                seconds=seconds,
                rival_seconds=seconds,
            )
            serve[clip.name] = measure_clip(plan, servers, ("shipped", *runtime))
        return {
            "quick": quick,
            "minutes": (time.monotonic() - start) / 60,
            "serve": serve,
            "unavailable": servers.missing,
        }


if __name__ == "__main__":
    main()
