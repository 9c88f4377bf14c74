"""The service and its rivals on every clip with 1, 2, 4 and 16 clients each: half an hour.

`python -m benchmarks.every_load`, or `make bench-rivals`. `make bench` asks rivals with the one or
two numbers of clients that suit them best, so that it ends in twenty minutes.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import clips, report
from benchmarks.command import run
from benchmarks.serving import RIVALS, Round, Servers, measure_clip, served_runtime

CLIENTS = (1, 2, 4, 16)


def main() -> None:
    """The command line."""
    run("benchmarks.every_load", __doc__, "every_load", measure, report.every_load_page)


def measure(cache: Path, folder: Path, *, quick: bool) -> dict[str, Any]:
    """The figures of each clip, as `latest.json` has them under `serve`."""
    began = time.monotonic()
    serve: dict[str, Any] = {}
    with ExitStack() as stack:
        servers = Servers(stack, () if quick else tuple(RIVALS), folder)
        # the bound encodes in what the service runs in by now
        runtime = (served_runtime(servers) or "eager float32").split()
        for clip in (clips.SMALL,) if quick else (clips.SMALL, clips.MIDDLE, clips.LARGE):
            print(f"{time.monotonic() - began:6.0f} s  {clip.name}", flush=True)
            seconds = 1.0 if quick else 6.0
            plan = Round(
                clips.encoded(clip, cache),
                rounds=1,
                seconds=seconds,
                clients=CLIENTS,
                rival_seconds=seconds,
                rival_clients=CLIENTS,
            )
            serve[clip.name] = measure_clip(plan, servers, ("shipped", *runtime))
        return {
            "quick": quick,
            "minutes": (time.monotonic() - began) / 60,
            "serve": serve,
            "unavailable": servers.missing,
        }


if __name__ == "__main__":
    main()
