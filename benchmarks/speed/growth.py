"""Latency and peak memory of the service for longer videos, larger ones, and more labels.

`python -m benchmarks.speed.growth` measures the lengths only and prints one JSON line last.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.harness import clips
from benchmarks.harness.load import Body, ask
from benchmarks.harness.paths import CACHE
from benchmarks.harness.servers import MemoryWatch, running
from benchmarks.speed.serving import SERVICE
from model import LabelIndex, Prototypes

_LENGTHS = {"1 s": 0, "10 s": 1, "1 min": 6, "10 min": 60, "1 h": 360, "4 h": 1440}
_DIM = 384
_WARM_UPS = 4
# About the size of the checkpoint's background bank, which the service merges with.
_QUERIES_TO_MERGE = 500


def videos_of_lengths(names: Sequence[str], cache: Path) -> dict[str, Path]:
    """Paths of videos by name of their length; every length if `names` is empty.

    They repeat the same pictures, and are kept in `cache`.
    """
    second, small = clips.encoded(clips.SECOND, cache), clips.encoded(clips.SMALL, cache)
    return {
        name: clips.repeated(small, times, cache) if times > 1 else (small if times else second)
        for name, times in _LENGTHS.items()
        if not names or name in names
    }


def measure_videos(
    paths: Mapping[str, Path], granularities: Sequence[str], folder: Path
) -> dict[str, Any]:
    """Send one request at a time for each video and granularity, in the given order.

    Memory is the peak of all processes of the service together, after its runtime trial.
    Raises Unavailable if the service does not start.
    """
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        server = stack.enter_context(running(*SERVICE, folder))
        server.settle()
        first = next(iter(paths.values()))
        for granularity in granularities:
            for _ in range(_WARM_UPS):
                ask(server.port, "/classify", Body.form(first, granularity=granularity))
        for granularity in granularities:
            for name, path in paths.items():
                body = Body.form(path, granularity=granularity)
                with MemoryWatch(server) as memory:
                    answers = [ask(server.port, "/classify", body)]
                    # a short request is repeated: other work on the computer may have delayed one
                    while len(answers) < 3 and answers[0][0] < 5.0:
                        answers.append(ask(server.port, "/classify", body))
                first_answer = answers[0][1]
                found.setdefault(granularity, {})[name] = {
                    "seconds": statistics.median(seconds for seconds, _ in answers),
                    "decode_seconds": statistics.median(
                        answer["timings"]["decode"] for _, answer in answers
                    ),
                    "encode_seconds": statistics.median(
                        answer["timings"]["encode"] for _, answer in answers
                    ),
                    "windows": (first_answer["windows"] or {"count": 1})["count"],
                    "peak_mib": memory.peak_mib,
                    "upload_mib": path.stat().st_size / 1024**2,
                }
    return found


def measure_labels(counts: Sequence[int]) -> dict[str, Any]:
    """Measure the search for five labels among each number of labels (random unit vectors)."""
    return {f"{count}": _search(count) for count in counts}


def _search(count: int) -> dict[str, float]:
    random = np.random.default_rng(count)
    process = psutil.Process()
    before = process.memory_info().rss
    start = time.perf_counter()
    index = LabelIndex.build(
        ((f"label {number}", _prototypes(random, number)) for number in range(count)), _DIM
    )
    if index.needs_merge:
        index = index.merged(np.concatenate([_unit(random) for _ in range(_QUERIES_TO_MERGE)]))
    built = time.perf_counter() - start
    mib = (process.memory_info().rss - before) / 1024**2
    queries = [_unit(random) for _ in range(20)]
    index.search(queries[0], 5)
    spans = []
    for query in queries:
        start = time.perf_counter()
        index.search(query, 5)
        spans.append(time.perf_counter() - start)
    return {"search_seconds": statistics.median(spans), "build_seconds": built, "mib": mib}


def _unit(random: np.random.Generator) -> NDArray[np.float32]:
    vector = random.normal(size=(1, _DIM)).astype(np.float32)
    return vector / np.linalg.norm(vector)


def _prototypes(random: np.random.Generator, number: int) -> Prototypes:
    background = np.array([[0.0, 0.05]], np.float32)
    return Prototypes((f"label {number}",), _unit(random), background)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.growth", description=__doc__)
    parser.add_argument("lengths", nargs="*", help=f"any of {', '.join(_LENGTHS)}; default: all")
    parser.add_argument("--granularity", choices=("video", "segments"), help="default: both")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the clips")
    options = parser.parse_args()
    kinds = (options.granularity,) if options.granularity else ("video", "segments")
    paths = videos_of_lengths(options.lengths, options.cache)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure_videos(paths, kinds, Path(folder))))


if __name__ == "__main__":
    main()
