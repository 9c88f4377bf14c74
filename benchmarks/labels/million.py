"""Start, memory, search and addition of a label with a million labels."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from app.store import DEFAULT_SET, LabelStore
from benchmarks.labels.composed import ComposedSource, LargeSet, large_set, text_vectors
from benchmarks.labels.service import Service, served
from model import LabelIndex, Tagger
from model.text.text_encoder import normalise

_SEARCHES = 300
_COMPARED = 100
_ADDED = 30
_GIGABYTE = 1e9
_MAX_SECONDS_TO_SAVE = 900.0


def measure(tagger: Tagger, cache: Path, count: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the figures whose names end in `_1m` (whatever `count` is), and others."""
    labels = large_set(tagger, cache, count)
    say(f"{count} labels, made in {labels.seconds_to_make:.0f} s")
    from_database = _seconds_from_database(labels)
    if from_database is not None:
        say(f"start from the database: {from_database:.1f} s")
    started = time.perf_counter()
    with served(labels.folder) as service:
        from_cache = time.perf_counter() - started
        say(f"start from the cache: {from_cache:.1f} s")
        memory, anonymous = service.memory_bytes()
        added = _add_seconds(service)
        figures = _search(tagger, cache, labels)
    return {
        **figures,
        "start_seconds_1m": from_cache,
        "start_from_database_seconds": from_database,
        "memory_gb_1m": memory / _GIGABYTE,
        "memory_without_files_gb_1m": anonymous / _GIGABYTE,
        "add_ms_1m": 1000 * median(added),
        "add_ms_1m_slowest": 1000 * max(added),
        "seconds_to_make_labels": labels.seconds_to_make,
        "labels": count,
    }


def _index_file(labels: LargeSet) -> Path | None:
    return next((labels.folder / "cache").glob("*.index"), None)


def _seconds_from_database(labels: LargeSet) -> float | None:
    """Seconds of a first start, which writes the index file; None if the file exists."""
    if _index_file(labels) is not None:
        return None
    started = time.perf_counter()
    with served(labels.folder):
        seconds = time.perf_counter() - started
        while _index_file(labels) is None:
            if time.perf_counter() - started > _MAX_SECONDS_TO_SAVE:
                raise RuntimeError("the server wrote no index file")
            time.sleep(1.0)
    return seconds


def _add_seconds(service: Service) -> list[float]:
    """Seconds of each PUT of one new label; the labels are removed again."""
    names = [f"juggling {number} torches on a unicycle" for number in range(_ADDED)]
    service.put(["balancing a spoon"])
    seconds = []
    for name in names:
        start = time.perf_counter()
        service.put([name])
        seconds.append(time.perf_counter() - start)
    for name in [*names, "balancing a spoon"]:
        service.ask("DELETE", f"/labels/{name.replace(' ', '%20')}")
    return seconds


def _search(tagger: Tagger, cache: Path, labels: LargeSet) -> dict[str, Any]:
    source = ComposedSource(tagger, text_vectors(tagger, cache))
    store = LabelStore.open(
        labels.url, source, complete_vectors=False, cache_folder=labels.folder / "cache"
    )
    try:
        index = store.snapshot(DEFAULT_SET).index
        queries = unseen_queries(tagger, max(_SEARCHES, _COMPARED))
        index.search(queries[:1], 10)
        seconds, processor = [], time.process_time()
        for query in queries[:_SEARCHES]:
            start = time.perf_counter()
            index.search(query[np.newaxis], 10)
            seconds.append(time.perf_counter() - start)
        processor = time.process_time() - processor
        recall = recall_at_10(index, queries[:_COMPARED])
    finally:
        store.close()
    return {
        "search_p50_ms_1m": 1000 * median(seconds),
        "search_p95_ms_1m": 1000 * float(np.quantile(seconds, 0.95)),
        "search_cpu_ms_1m": 1000 * processor / len(seconds),
        "recall_at_10_1m": recall,
    }


def unseen_queries(tagger: Tagger, count: int) -> npt.NDArray[np.float32]:
    """(count, dim): mixtures of two embeddings of the checkpoint's background bank.

    The index is built with the bank itself, so that its embeddings would be no fair queries.
    """
    bank = tagger.typical_videos
    generator = np.random.default_rng(7)
    first, second = generator.integers(0, len(bank), (2, count))
    share = generator.uniform(0.3, 0.7, (count, 1)).astype(np.float32)
    return normalise(share * bank[first] + (1 - share) * bank[second])


def recall_at_10(index: LabelIndex, queries: npt.NDArray[np.float32]) -> float:
    """Share of the ten best labels of an exact search that the index finds."""
    exact = LabelIndex(index.base, index.delta, index.gone, index.next_order)
    shares = [
        len({hit.name for hit in found} & {hit.name for hit in best}) / max(1, len(best))
        for found, best in zip(index.search(queries, 10), exact.search(queries, 10), strict=True)
    ]
    return float(np.mean(shares))
