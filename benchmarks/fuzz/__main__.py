"""Decode mutated videos in real workers: `make fuzz`. The log names seeds and numbers.

With `--http`, a service with a fake encoder is asked about them over HTTP, one at a time. A
campaign that was interrupted goes on where its log ends.
"""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from benchmarks.fuzz import over_http
from benchmarks.fuzz.campaign import MAX_CPU_SECONDS, Campaign, outcomes_in, run
from benchmarks.fuzz.seeds import seed_videos


def main() -> int:
    """Run a campaign, print what came of it, and return 1 if an input was not handled well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="number of videos")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--campaign", type=int, default=0, help="another number, other videos")
    parser.add_argument("--log", type=Path, default=Path("fuzz.jsonl"), help="a line per video")
    parser.add_argument(
        "--workers", type=int, default=len(os.sched_getaffinity(0)), help="decode processes"
    )
    parser.add_argument("--http", action="store_true", help="ask a service over HTTP")
    options = parser.parse_args()
    seeds, campaign = seed_videos(), options.campaign
    all_done = Campaign(over_http.MAX_CPU_SECONDS if options.http else MAX_CPU_SECONDS)
    for outcome in (known := list(outcomes_in(options.log))):
        all_done.add(outcome)
    seen = {outcome.number for outcome in known}
    numbers = [n for n in range(options.first, options.first + options.count) if n not in seen]
    started = time.monotonic()
    with options.log.open("a", encoding="utf-8", buffering=1) as log:
        if options.http:
            new = over_http.run(numbers, seeds, campaign=campaign, log=log)
        else:
            new = asyncio.run(
                run(numbers, seeds, campaign=campaign, workers=options.workers, log=log)
            )
    all_done.extend(new)
    print(_report(all_done, time.monotonic() - started))
    return 1 if all_done.bad else 0


def _report(done: Campaign, seconds: float) -> str:
    lines = [
        f"{done.codes.total()} videos, the last ones in {seconds:.0f} s",
        f"answers: {dict(done.codes.most_common())}",
        f"most processor time: {done.most_cpu_seconds:.2f} s",
        f"decode processes that died: {len(done.died)}",
        f"not handled well: {len(done.bad)}",
    ]
    return "\n".join([*lines, *(str(outcome) for outcome in [*done.died, *done.bad][:20])])


if __name__ == "__main__":
    sys.exit(main())
