"""Measure kept analyses, search, jobs and archives: `make bench-archive`. JSON line last."""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

PARTS = ("retag", "search", "mission", "jobs", "cancel", "kills", "tag", "pass", "tag-kills")
VIDEOS = "../shared/data/videos/validation"
JUDGED = (
    "retag_p50_ms",
    "search_p50_ms",
    "search_recall_at_10",
    "search_windows",
    "add_1000_windows_ms",
    "start_from_cache_seconds",
    "memory_gb",
    "mission_found_first",
    "mission_named_but_not_found_first",
    "jobs_list_p99_ms",
    "cancelled_slot_free_max_ms",
    "kills",
    "jobs_lost",
    "webhooks_missing",
    "webhooks_with_two_ids",
    "tag_share_of_throughput",
    "tag_cpu_seconds_per_video",
    "tag_cpu_seconds_per_video_without_ray",
    "tag_memory_mb_100_rows",
    "tag_memory_mb_5000_rows",
    "pass_seconds_per_million",
    "tag_kills",
    "tag_midway",
    "tag_lost",
    "tag_repeated",
    "tag_different",
)

LOSSES = ("jobs_lost", "webhooks_missing", "tag_lost", "tag_repeated", "tag_different")


def main() -> None:
    """Run the command line: measure the given parts, by default all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archive", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="part to measure; repeat")
    parser.add_argument("--windows", type=int, default=2_000_000, help="windows to search")
    parser.add_argument("--jobs", type=int, default=10_000, help="finished jobs in the list")
    parser.add_argument("--kills", type=int, default=100, help="number of kills of the service")
    parser.add_argument("--in-flight", type=int, default=20, help="jobs in flight at a kill")
    parser.add_argument(
        "--end-leases", action="store_true", help="run a killed service's jobs at once, not in 30 s"
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--tag-kills", type=int, default=100, help="kills of `archive tag`")
    parser.add_argument("--tag-videos", type=int, default=100, help="videos that it tags meanwhile")
    parser.add_argument("--videos", default=VIDEOS, help="real clips to tag")
    parser.add_argument("--rows", type=int, nargs="*", default=[100, 5_000], help="for the memory")
    parser.add_argument("--composed", type=int, default=1_000_000, help="analyses of one pass")
    options = parser.parse_args()
    # as `kinolex` does, before NumPy is loaded
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    started = time.perf_counter()
    figures: dict[str, Any] = {"load_before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="kinolex-archive-") as folder:
        for part in options.only or PARTS:
            say(f"{part} ...")
            (Path(folder) / part).mkdir()
            figures |= _measured(part, Path(folder) / part, options)
            say(f"{part}: {time.perf_counter() - started:.0f} s so far")
    for name in sorted(figures.keys() - set(JUDGED)):
        print(f"{name}: {_short(figures[name])}")
    print(json.dumps({name: _short(figures.get(name)) for name in JUDGED}))
    if any(figures.get(name) for name in LOSSES):
        sys.exit("a job, a webhook or a video was lost")


def _measured(part: str, folder: Path, options: argparse.Namespace) -> Mapping[str, Any]:
    # each part imports what it needs: the kills need no model
    if part == "kills":
        from benchmarks.archive import kills

        databases = options.database or kills.installed()
        return kills.measure(
            folder,
            options.kills,
            options.in_flight,
            databases,
            say,
            end_leases=options.end_leases,
        )
    if part == "tag-kills":
        from benchmarks.archive import tag_kills

        victims = tag_kills.victims(options.tag_kills)
        killed = tag_kills.run(folder, victims, options.tag_videos, say)
        return {f"tag_{name}": value for name, value in asdict(killed).items()}
    if part == "tag":
        from benchmarks.archive import tag_speed

        return tag_speed.measure(folder, options.videos, options.rows)
    if part == "pass":
        from benchmarks.archive import one_pass

        return one_pass.measure(folder, options.composed)
    if part == "jobs":
        from benchmarks.archive import job_list

        return job_list.measure(folder, options.jobs)
    if part == "cancel":
        from benchmarks.archive import cancelled_jobs

        return cancelled_jobs.measure(folder)
    if part == "mission":
        from benchmarks.archive import mission

        return mission.measure(folder, Path(options.videos).parent)
    if part == "retag":
        from benchmarks.archive import retag

        return retag.measure(folder)
    from benchmarks.archive import search

    return search.measure(folder, options.windows, say)


def _short(value: object) -> object:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def say(line: str) -> None:
    """Print progress to standard error."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
