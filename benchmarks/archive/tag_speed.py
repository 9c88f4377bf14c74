"""Compare `kinolex archive tag` with the same decode and encode workers without Ray."""

import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil
import pyarrow as pa

from app.archive.batch.analyser import Analyser, Work
from app.archive.batch.folder import ArchiveFolder, Known
from app.archive.batch.ray_run import TASKS_AT_ONCE, blocks_of
from app.archive.batch.sources import find_videos, open_place
from app.archive.batch.tagging import options_of, tag_archive
from app.cli.archive.embedder import configured_tagger, open_embedder
from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.paths import ROOT

_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class _Point:
    """How many videos were `done` at a time, and the processor seconds of each process by id."""

    time: float
    done: int
    cpu_seconds: dict[int, float]

    @classmethod
    def now(cls, done: int) -> Self:
        """The point at which a block of videos is done."""
        this = psutil.Process()
        used = {}
        for each in [this, *this.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                times = each.cpu_times()
                used[each.pid] = times.user + times.system
        return cls(time.monotonic(), done, used)


@dataclass(frozen=True, slots=True)
class _Speed:
    """Videos per second, and processor seconds per video, from the first to the last block."""

    videos_per_second: float
    cpu_seconds_per_video: float

    @classmethod
    def between(cls, first: _Point, last: _Point) -> Self:
        """The speed without the start and the first block."""
        videos = last.done - first.done
        used = sum(
            seconds - first.cpu_seconds.get(pid, 0.0) for pid, seconds in last.cpu_seconds.items()
        )
        return cls(videos / (last.time - first.time), used / videos)


def measure(folder: Path, videos: str, rows: Sequence[int]) -> dict[str, Any]:
    """Measure the speed with and without Ray, in turn, and the memory for numbers of `rows`.

    On a computer that does other work, compare the processor seconds.
    """
    figures: dict[str, Any] = {}
    if videos:
        plain = _without_ray(videos, folder / "plain")
        on_ray = _on_ray(videos, folder / "ray")
        figures = {
            "tag_videos": len(find_videos(videos).references),
            "tag_videos_per_second": on_ray.videos_per_second,
            "tag_videos_per_second_without_ray": plain.videos_per_second,
            "tag_share_of_throughput": on_ray.videos_per_second / plain.videos_per_second,
            "tag_cpu_seconds_per_video": on_ray.cpu_seconds_per_video,
            "tag_cpu_seconds_per_video_without_ray": plain.cpu_seconds_per_video,
        }
    for count in rows:
        tree = folder / f"rows{count}"
        _write_copies(tree / "videos", count)
        figures[f"tag_memory_mb_{count}_rows"] = _peak_memory(tree) / 1e6
    return figures


def _on_ray(videos: str, out: Path) -> _Speed:
    settings = Settings()
    points: list[_Point] = []
    tag_archive(
        find_videos(videos),
        _folder(out, settings),
        settings,
        open_embedder,
        address=None,
        memory_bytes=_MEMORY_BYTES,
        report=lambda done, total, failed: points.append(_Point.now(done)),
    )
    return _Speed.between(points[0], points[-1])


def _without_ray(videos: str, out: Path) -> _Speed:
    settings = Settings()
    source, folder = find_videos(videos), _folder(out, settings)
    analyser = Analyser(
        Work(settings, source.filesystem, folder, folder.options()), Known(), open_embedder
    )
    points: list[_Point] = []
    done = 0
    with ThreadPoolExecutor(TASKS_AT_ONCE) as threads:
        for rows in _in_order_of_end(threads, analyser, blocks_of(source.references, 1)):
            done += len(rows)
            points.append(_Point.now(done))
    analyser.close()
    return _Speed.between(points[0], points[-1])


def _in_order_of_end(
    threads: ThreadPoolExecutor, analyser: Callable[[pa.Table], pa.Table], blocks: list[pa.Table]
) -> Iterator[pa.Table]:
    for each in as_completed([threads.submit(analyser, block) for block in blocks]):
        yield each.result()


def _folder(out: Path, settings: Settings) -> ArchiveFolder:
    return ArchiveFolder.create(
        *open_place(str(out)), options_of(settings, configured_tagger(settings))
    )


def _write_copies(folder: Path, count: int) -> None:
    """Write copies of a clip that differ in a box without content at their end."""
    folder.mkdir(parents=True)
    clip = clip_bytes(seconds_colours=["red", "green"])
    for number in range(count):
        (folder / f"{number:06}.mp4").write_bytes(clip + struct.pack(">I4sQ", 16, b"free", number))


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
