"""Measure every figure of the labels: `make bench-labels` and `make chaos`. JSON line last."""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.paths import LABELS_CACHE, SHARED_DATA

JUDGED = (
    "put_over_encode",
    "latency_growth_during_put",
    "work_after_hang_up_seconds",
    "search_p50_ms_1m",
    "recall_at_10_1m",
    "start_seconds_1m",
    "memory_gb_1m",
    "add_ms_1m",
    "kill_lost",
    "everyday_top1",
    "everyday_top5",
    "unknown_auroc",
    "ece",
    "sure_right",
)
PARTS = ("put", "hang-up", "million", "kills", "accuracy")


def main() -> None:
    """Run the command line: measure the given parts, by default all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.labels", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="part to measure; repeat")
    parser.add_argument("--kills", type=int, default=5, help="number of kills of the server")
    parser.add_argument("--put", type=int, default=10_000, help="labels in one PUT")
    parser.add_argument("--labels", type=int, default=1_000_000, help="size of the large set")
    parser.add_argument("--cache", type=Path, default=LABELS_CACHE, help="folder of the large set")
    parser.add_argument("--data", type=Path, default=SHARED_DATA, help="folder of real clips")
    options = parser.parse_args()
    started = time.perf_counter()
    figures: dict[str, Any] = {"load_before": os.getloadavg()[0]}
    for part in options.only or PARTS:
        say(f"{part} ...")
        figures |= _measured(part, options)
        say(f"{part}: {time.perf_counter() - started:.0f} s so far")
    figures["minutes"] = (time.perf_counter() - started) / 60
    for name in sorted(figures.keys() - set(JUDGED)):
        print(f"{name}: {_short(figures[name])}")
    print(json.dumps({name: _short(figures.get(name)) for name in JUDGED}))
    if figures.get("kill_lost") or figures.get("wrong_indexes"):
        sys.exit("labels were lost, or an index differs from the database")


def _measured(part: str, options: argparse.Namespace) -> Mapping[str, Any]:
    # each part imports what it needs: the kills need no model
    if part == "kills":
        from benchmarks.labels.kills import run

        outcome = run(options.kills, say=say)
        return {
            "kills": outcome.kills,
            "kill_lost": outcome.lost,
            "wrong_indexes": outcome.wrong_indexes,
            "acknowledged": outcome.acknowledged,
        }
    if part == "hang-up":
        from benchmarks.labels import hang_up

        return hang_up.measure()
    if part == "accuracy":
        from benchmarks.labels import accuracy

        return accuracy.measure(options.data, say)
    from benchmarks.labels import million, putting
    from model import load_checkpoint

    tagger = load_checkpoint()
    options.cache.mkdir(parents=True, exist_ok=True)
    if part == "put":
        return putting.measure(tagger, options.cache, options.put)
    return million.measure(tagger, options.cache, options.labels, say)


def _short(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def say(line: str) -> None:
    """Print progress to standard error."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
