"""Search over many composed windows, in this process: time, recall, additions, start, memory.

The windows are composed: each is the unit vector of a random mixture of two embeddings of the
checkpoint's background bank, which are of real clips, with noise.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from app.archive.search import FIRST_DEPTH, ArchiveSearch, SpanQuery
from app.archive.window_index import WindowIndex
from app.question import Analysis, EmbeddedVideo, EmbeddedWindows, Timestamps
from app.store import everyday_actions
from app.store.analyses import AnalysisStore, VideoFilter
from app.store.analyses.writes import keep
from app.store.database import migrate, open_engine, writing
from model import Label, LabelIndex, Tagger, VideoInfo, VideoRanking, WindowPlan, load_checkpoint

Floats = npt.NDArray[np.float32]

_WINDOWS_PER_VIDEO = 60
_VIDEOS_PER_WRITE = 200
_NOISE = 0.3
_SEARCHES = 200
_COMPARED = 50
_ADDED = 1_000


def measure(folder: Path, windows: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Keep composed windows, and search them with the names of the default labels."""
    tagger = load_checkpoint()
    engine = open_engine(f"sqlite:///{folder / 'labels.sqlite'}")
    migrate(engine)
    store = AnalysisStore(engine)
    random = np.random.default_rng(0)
    started = time.perf_counter()
    for first in range(0, windows, _VIDEOS_PER_WRITE * _WINDOWS_PER_VIDEO):
        count = min(windows - first, _VIDEOS_PER_WRITE * _WINDOWS_PER_VIDEO)
        rows = composed(tagger, count, random)
        with writing(engine) as connection:
            for at in range(0, count, _WINDOWS_PER_VIDEO):
                analysis = _analysis(tagger, rows[at : at + _WINDOWS_PER_VIDEO], f"{first + at}")
                keep(connection, analysis, None, {})
    say(f"{windows} windows kept in {time.perf_counter() - started:.0f} s")
    queries = tagger.prototypes([Label(name) for name in everyday_actions()[:_SEARCHES]])
    ranking = VideoRanking(tagger.calibration)
    vectors = np.array(
        [ranking.query(each.vectors[0], *each.background[0].tolist()).vector for each in queries]
    )

    def open_index() -> WindowIndex:
        return WindowIndex(
            store,
            tagger.video_space,
            tagger.encoder.dim,
            ranking,
            lambda: queries,
            folder / "cache",
        )

    started = time.perf_counter()
    index = open_index()
    index.get()
    from_database = time.perf_counter() - started
    say(f"start from the database: {from_database:.1f} s")
    _wait_until_saved(index, folder / "cache")
    index.close()
    started = time.perf_counter()
    index = open_index()
    found = index.get()
    from_cache = time.perf_counter() - started
    search = ArchiveSearch(index, store, tagger)
    [newest] = store.page(VideoFilter(), limit=1)
    times = _times(search, [SpanQuery(each) for each in queries])
    only_newest = VideoFilter(kept_after=newest.kept_at)
    filtered = _times(search, [SpanQuery(each, only_newest) for each in queries])
    figures: dict[str, Any] = {
        "search_p50_ms": 1000 * median(times),
        "search_p99_ms": 1000 * float(np.quantile(times, 0.99)),
        "search_of_one_video_p50_ms": 1000 * median(filtered),
        "search_recall_at_10": _recall(found.index, vectors[:_COMPARED]),
        "search_windows": windows,
        "windows_are": "composed of real clips' embeddings",
        "start_from_cache_seconds": from_cache,
        "start_from_database_seconds": from_database,
        "memory_gb": psutil.Process().memory_info().rss / 1e9,
    }
    began = time.perf_counter()
    added = composed(tagger, _ADDED, random)
    store.keep(_analysis(tagger, added, "added"))
    index.get()
    figures["add_1000_windows_ms"] = 1000 * (time.perf_counter() - began)
    index.close()
    engine.dispose()
    return figures


def _times(search: ArchiveSearch, queries: Sequence[SpanQuery]) -> list[float]:
    times = []
    for query in queries:
        began = time.perf_counter()
        search.find(query)
        times.append(time.perf_counter() - began)
    return times


def composed(tagger: Tagger, count: int, random: np.random.Generator) -> Floats:
    """Return (count, dim) float32 unit vectors with values of float16."""
    bank = tagger.typical_videos
    one, other = (bank[random.integers(len(bank), size=count)] for _ in range(2))
    share = random.random((count, 1), np.float32)
    noise = random.standard_normal((count, bank.shape[1]), np.float32)
    mixed = share * one + (1 - share) * other + _NOISE / np.sqrt(bank.shape[1]) * noise
    unit = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    rounded: Floats = unit.astype(np.float16).astype(np.float32)
    return rounded


def _analysis(tagger: Tagger, rows: Floats, name: str) -> Analysis:
    duration = 2.0 * (len(rows) + 1)
    video = VideoInfo(duration, 25.0, 640, 360, 0, "h264")
    plan = WindowPlan.over(duration, window_seconds=4.0, stride_seconds=2.0, max_windows=len(rows))
    times = Timestamps(0.0, duration, 8 * len(rows), ())
    return Analysis(
        name.rjust(64, "0"),
        tagger.model_id,
        tagger.video_space,
        "auto",
        EmbeddedVideo(video, (), rows[0], times),
        EmbeddedWindows(plan, (), rows, times),
    )


def _wait_until_saved(index: WindowIndex, cache: Path) -> None:
    while not list(cache.glob("*.index")):
        time.sleep(0.2)
        index.get()


def _recall(index: LabelIndex, vectors: Floats) -> float:
    """Return the share of the ten windows with the best scores that a search finds."""
    right = 0
    for vector in vectors:
        values = index.base.rows @ np.append(vector, np.float32(1))
        tenth = np.partition(values, -10)[-10]
        [hits] = index.search(vector[np.newaxis], FIRST_DEPTH)
        right += sum(hit.standardised >= tenth - 1e-4 for hit in hits[:10])
    return right / (10 * len(vectors))
