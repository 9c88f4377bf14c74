"""What a start of the service costs: processor time until it is ready, and the memory it holds.

`python -m benchmarks.speed.starts` prints one JSON line.
"""

import json
import tempfile
from pathlib import Path

from benchmarks.harness.servers import running
from benchmarks.speed.serving import SERVICE

_MB = 1e6


def measure_starts(folder: Path) -> dict[str, dict[str, float]]:
    """Start the service in a new folder, then again, with the default labels.

    `rss_mb` is the resident memory of the server process, `worker_mb` the most of a decode worker,
    `cpu_seconds` the processor time of all processes, each when `/readyz` first answers 200.
    """
    return {name: _start(folder) for name in ("first", "later")}


def _start(folder: Path) -> dict[str, float]:
    with running(*SERVICE, folder) as server:
        cpu_seconds = server.cpu_seconds()
        rss, *children = (process.memory_info().rss / _MB for process in server.tree())
    return {"cpu_seconds": cpu_seconds, "rss_mb": rss, "worker_mb": max(children)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(measure_starts(Path(name))))
