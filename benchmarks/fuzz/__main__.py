"""Decode mutated videos in real workers: `make fuzz`. The log names seeds and numbers."""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from benchmarks.fuzz.campaign import Campaign, run
from benchmarks.fuzz.seeds import seed_videos


def main() -> int:
    """Run a campaign, print what came of it, and return 1 if an input was not handled well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="number of videos")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--campaign", type=int, default=0, help="another number, other videos")
    parser.add_argument("--log", type=Path, default=Path("fuzz.jsonl"), help="a line per video")
    options = parser.parse_args()
    started = time.monotonic()
    with options.log.open("a", encoding="utf-8", buffering=1) as log:
        done = asyncio.run(
            run(
                range(options.first, options.first + options.count),
                seed_videos(),
                campaign=options.campaign,
                workers=len(os.sched_getaffinity(0)),
                log=log,
            )
        )
    print(_report(done, time.monotonic() - started))
    return 1 if done.bad else 0


def _report(done: Campaign, seconds: float) -> str:
    lines = [
        f"{done.codes.total()} videos in {seconds:.0f} s, {dict(done.codes.most_common())}",
        f"most processor time: {done.most_cpu_seconds:.2f} s",
        f"decode processes that died: {len(done.died)}",
        f"not handled well: {len(done.bad)}",
    ]
    return "\n".join([*lines, *(str(outcome) for outcome in [*done.died, *done.bad][:20])])


if __name__ == "__main__":
    sys.exit(main())
