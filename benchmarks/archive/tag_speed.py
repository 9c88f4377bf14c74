"""Compare `kinolex archive tag` with the same decode and encode workers without Ray."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

from app.archive.batch.analyser import Analyser, Work
from app.archive.batch.folder import ArchiveFolder, Known
from app.archive.batch.ray_run import TASKS_AT_ONCE, blocks_of
from app.archive.batch.sources import find_videos, open_place
from app.archive.batch.tagging import options_of, tag_archive
from app.cli.archive.embedder import configured_tagger, open_embedder
from app.settings import Settings
from benchmarks.archive.tag_kills import write_tree
from tests.support.paths import ROOT

_MEMORY_BYTES = 2 << 30
_Times = list[tuple[float, int]]


def measure(folder: Path, videos: str, rows: Sequence[int]) -> dict[str, Any]:
    """Measure videos/s with and without Ray, in turn, and the memory for numbers of `rows`."""
    plain = [_rate(_without_ray(videos, folder / f"plain{turn}")) for turn in range(2)]
    on_ray = [_rate(_on_ray(videos, folder / f"ray{turn}")) for turn in range(2)]
    figures: dict[str, Any] = {
        "tag_videos": len(find_videos(videos).references),
        "tag_videos_per_second": max(on_ray),
        "tag_videos_per_second_without_ray": max(plain),
        "tag_share_of_throughput": max(on_ray) / max(plain),
    }
    for count in rows:
        tree = folder / f"rows{count}"
        write_tree(tree / "videos", count)
        figures[f"tag_memory_mb_{count}_rows"] = _peak_memory(tree) / 1e6
    return figures


def _on_ray(videos: str, out: Path) -> _Times:
    settings = Settings()
    times: _Times = []
    tag_archive(
        find_videos(videos),
        _folder(out, settings),
        settings,
        open_embedder,
        address=None,
        memory_bytes=_MEMORY_BYTES,
        report=lambda done, total, failed: times.append((time.monotonic(), done)),
    )
    return times


def _without_ray(videos: str, out: Path) -> _Times:
    settings = Settings()
    source, folder = find_videos(videos), _folder(out, settings)
    analyser = Analyser(
        Work(settings, source.filesystem, folder, folder.options()), Known(), open_embedder
    )
    times: _Times = []
    done = 0
    with ThreadPoolExecutor(TASKS_AT_ONCE) as threads:
        for rows in _in_order_of_end(threads, analyser, blocks_of(source.references, 1)):
            done += len(rows)
            times.append((time.monotonic(), done))
    analyser.close()
    return times


def _in_order_of_end(
    threads: ThreadPoolExecutor, analyser: Callable[[pa.Table], pa.Table], blocks: list[pa.Table]
) -> Iterator[pa.Table]:
    for each in as_completed([threads.submit(analyser, block) for block in blocks]):
        yield each.result()


def _folder(out: Path, settings: Settings) -> ArchiveFolder:
    return ArchiveFolder.create(
        *open_place(str(out)), options_of(settings, configured_tagger(settings))
    )


def _rate(times: _Times) -> float:
    """Return videos per second between the first and the last block: without the start."""
    (first, before), (last, after) = times[0], times[-1]
    return (after - before) / (last - first)


def _peak_memory(tree: Path) -> float:
    """Return the peak of the memory (PSS, bytes) of a run with all processes that it starts."""
    command = [sys.executable, "-m", "benchmarks.archive.tag_colours"]
    with (tree / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, str(tree / "videos"), str(tree / "out")], cwd=ROOT, stdout=log, stderr=log
        )
    peak = 0.0
    ended = threading.Event()
    while not ended.wait(0.5):
        peak = max(peak, _memory_of(process.pid))
        if process.poll() is not None:
            ended.set()
    if process.returncode:
        raise RuntimeError((tree / "log").read_text()[-3000:])
    return peak


def _memory_of(pid: int) -> float:
    total = 0.0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return total
    for each in family:
        try:
            total += each.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total
