"""Measure `kinolex archive search` over an archive that is composed of random analyses."""

import hashlib
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from app.archive.batch.folder import ArchiveFolder
from app.archive.batch.rows import ANALYSES, row_of_analysis
from app.archive.batch.search import search_archive
from app.archive.batch.sources import open_place
from app.archive.batch.tagging import options_of
from app.question import Analysis, EmbeddedVideo, EmbeddedWindows, Timestamps
from app.settings import Settings
from model import Tagger, VideoInfo, WindowPlan, load_checkpoint

_SECONDS = 10.0
_PER_FILE = 4_096
_WORDS = ("riding a horse", "juggling", "playing the violin", "cooking")


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Search `count` composed analyses of videos of 10 s for four texts."""
    tagger = load_checkpoint()
    archive = _composed(folder, count, tagger)
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    reports: list[tuple[float, float]] = []
    search_archive(
        archive,
        _WORDS,
        tagger,
        limit=10,
        min_score=0.0,
        report=lambda done, total: reports.append((time.perf_counter(), time.process_time())),
    )
    ended = time.perf_counter(), time.process_time()
    # the first report is made before the first file is read, the last after the last one
    seconds, cpu_seconds = np.subtract(reports[-1], reports[0]).tolist()
    spans_seconds, spans_cpu_seconds = np.subtract(ended, reports[-1]).tolist()
    return {
        "pass_videos": count,
        "pass_gb": size / 1e9,
        "pass_seconds": seconds,
        "pass_spans_seconds": spans_seconds,
        "pass_spans_cpu_seconds": spans_cpu_seconds,
        "pass_seconds_per_million": seconds * 1e6 / count,
        "pass_cpu_seconds_per_million": cpu_seconds * 1e6 / count,
        "pass_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def _composed(folder: Path, count: int, tagger: Tagger) -> ArchiveFolder:
    """Write an archive whose windows are videos of the checkpoint's bank with noise."""
    archive = ArchiveFolder.create(*open_place(str(folder)), options_of(Settings(), tagger))
    random = np.random.default_rng(0)
    template = row_of_analysis(_analysis(tagger)).to_pylist()[0]
    bank, windows = tagger.typical_videos, template["window_count"]
    for start in range(0, count, _PER_FILE):
        rows = min(_PER_FILE, count - start)
        chosen = bank[random.integers(len(bank), size=rows)][:, np.newaxis]
        noise = random.standard_normal((rows, windows, tagger.dim), np.float32)
        vectors = chosen + noise * (0.5 / np.sqrt(tagger.dim))
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        halves = vectors.astype("<f2")
        table = pa.Table.from_pylist(
            [
                template
                | {
                    "sha256": hashlib.sha256(str(start + row).encode()).hexdigest(),
                    "windows": halves[row].tobytes(),
                    "whole": halves[row, 0].tobytes(),
                }
                for row in range(rows)
            ],
            schema=ANALYSES,
        )
        archive.write_pack(table)
    return archive


def _analysis(tagger: Tagger) -> Analysis:
    video = VideoInfo(_SECONDS, 25.0, 640, 360, 0, "h264", ())
    plan = WindowPlan.over(_SECONDS, window_seconds=4.0, stride_seconds=2.0, max_windows=1024)
    times = Timestamps.of(np.linspace(0, _SECONDS, 16))
    zero = np.zeros((plan.count, tagger.dim), np.float32)
    return Analysis(
        "0" * 64,
        tagger.model_id,
        tagger.video_space,
        "auto",
        EmbeddedVideo(video, (), zero[0], times),
        EmbeddedWindows(plan, (), zero, times),
    )
