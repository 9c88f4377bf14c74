"""Indexes in memory that requests search: a cache of the database, updated with its changes.

Each snapshot is immutable and never contains part of a write. If the database has a newer revision
than the snapshot, a request waits until the changes are read, so that the first request after a PUT
finds the label in every process. Otherwise it does not wait.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from cachetools import LRUCache
from sqlalchemy import Connection, Engine, Row
from structlog.typing import FilteringBoundLogger

from app.store.changes import Changes
from app.store.database import reading, writing
from app.store.index_cache import MIN_SAVED, IndexCache, count_enabled
from app.store.low_priority import Embed, lower_priority
from app.store.reads import set_row
from app.store.records import LabelSnapshot, PrototypeSource, SetNotFound
from app.store.rows import label_of
from app.store.writes import keep_vectors
from model import KinolexError, LabelBlock, LabelIndex, Prototypes

# Maximum number of sets with an index in memory.
_MAX_SETS = 64


@dataclass(frozen=True, slots=True)
class _Cached:
    """A snapshot, its set's row at that revision, and the block of its index that is in a file."""

    row: Row[Any]
    snapshot: LabelSnapshot
    saved: LabelBlock | None = None


class Snapshots:
    """One process's snapshots of the label sets; thread-safe.

    `embed` computes prototypes for labels without vectors. Without a `cache`, every start reads
    whole sets from the database.
    """

    def __init__(
        self,
        engine: Engine,
        source: PrototypeSource,
        embed: Embed,
        log: FilteringBoundLogger,
        cache: IndexCache | None = None,
    ) -> None:
        self._log = log
        self._engine = engine
        self._source = source
        self._embed = embed
        self._cache = cache
        self._guard = threading.Lock()
        self._cached: LRUCache[str, _Cached] = LRUCache(_MAX_SETS)
        # one build of a set at a time
        self._build_locks: LRUCache[str, threading.Lock] = LRUCache(_MAX_SETS)
        self._to_compact: set[str] = set()
        self._compaction = ThreadPoolExecutor(1, "compaction", initializer=lower_priority)

    def close(self) -> None:
        """Stop compaction after the current index."""
        self._compaction.shutdown(cancel_futures=True)

    @property
    def names(self) -> list[str]:
        """The sets whose index is in memory."""
        with self._guard:
            return list(self._cached)

    def get(self, set_name: str) -> LabelSnapshot:
        """Return the set at its newest revision, which is read with one small query.

        Raises SetNotFound, LabelsNotReady when too many labels lack vectors in this text space,
        and StoreUnavailable.
        """
        try:
            with reading(self._engine) as connection:
                row = set_row(connection, set_name)
        except SetNotFound:
            with self._guard:
                self._cached.pop(set_name, None)
            raise
        with self._guard:
            cached = self._cached.get(set_name)
            build_lock = self._build_locks.setdefault(set_name, threading.Lock())
        if cached is not None and _is_at(cached, row):
            return cached.snapshot
        with build_lock:
            with self._guard:
                cached = self._cached.get(set_name)
            built = self._build(set_name, cached)
            with self._guard:
                self._cached[set_name] = built
        if self._needs_compaction(built):
            self._schedule_compaction(set_name)
        return built.snapshot

    def _build(self, set_name: str, cached: _Cached | None) -> _Cached:
        with reading(self._engine) as connection:
            row = set_row(connection, set_name)
            if cached is not None and _is_at(cached, row):
                return cached
            if cached is not None and _can_update(cached, row):
                snapshot, changes = self._read(connection, row, cached.snapshot)
                saved = cached.saved
            elif (found := self._read_from_file(connection, row)) is not None:
                snapshot, changes = found
                saved = snapshot.index.base
            else:
                snapshot, changes = self._read(connection, row, None)
                saved = None
        vectors = self._embed_missing(changes)
        if vectors:
            snapshot = replace(snapshot, index=snapshot.index.upsert(vectors))
        return _Cached(row, snapshot, saved)

    def _read(
        self, connection: Connection, row: Row[Any], base: LabelSnapshot | None
    ) -> tuple[LabelSnapshot, Changes]:
        changes = Changes(self._source, row.id, -1 if base is None else base.revision)
        searchable = changes.searchable(connection)
        if base is None:
            index = LabelIndex.build(searchable, self._source.dim)
            index = index.with_thresholds(changes.thresholds)
            return LabelSnapshot(row.name, row.revision, index), changes
        index = base.index.upsert(searchable).remove(changes.hidden.values())
        index = index.with_thresholds(_changed(base.index.thresholds, changes))
        return LabelSnapshot(row.name, row.revision, index), changes

    def _read_from_file(
        self, connection: Connection, row: Row[Any]
    ) -> tuple[LabelSnapshot, Changes] | None:
        base = self._cache.load(connection, row) if self._cache is not None else None
        if base is None:
            return None
        snapshot, changes = self._read(connection, row, base)
        if len(snapshot.index) + len(changes.without_vectors) == count_enabled(connection, row.id):
            return snapshot, changes
        self._log.warning("index_file_outdated", label_set=row.name)
        return None

    def _embed_missing(self, changes: Changes) -> list[tuple[str, Prototypes]]:
        """Embed labels that a replica with another checkpoint wrote, and store their vectors."""
        rows = changes.without_vectors
        if not rows:
            return []
        prototypes = self._embed([label_of(row) for row in rows])
        with writing(self._engine) as connection:
            keep_vectors(
                connection,
                self._source.text_space,
                [(row.id, row.text_hash, made) for row, made in zip(rows, prototypes, strict=True)],
            )
        return [
            (row.name, changes.taught(row.name, made))
            for row, made in zip(rows, prototypes, strict=True)
        ]

    def _needs_compaction(self, cached: _Cached) -> bool:
        index = cached.snapshot.index
        is_worth_a_file = self._cache is not None and len(index) >= MIN_SAVED
        return index.needs_merge or (is_worth_a_file and cached.saved is not index.base)

    def _schedule_compaction(self, set_name: str) -> None:
        with self._guard:
            if set_name not in self._to_compact:
                self._to_compact.add(set_name)
                self._compaction.submit(self._compact, set_name)

    def _compact(self, set_name: str) -> None:
        """Merge a set's index into one block and save it; readers use the old one meanwhile."""
        with self._guard:
            self._to_compact.discard(set_name)
            cached = self._cached.get(set_name)
            build_lock = self._build_locks.setdefault(set_name, threading.Lock())
        if cached is None or not self._needs_compaction(cached):
            return
        try:
            index = cached.snapshot.index.merged(self._source.typical_videos)
            snapshot = replace(cached.snapshot, index=index)
            with build_lock:
                # apply the writes since then to the merged index
                built = self._build(set_name, _Cached(cached.row, snapshot, index.base))
                with self._guard:
                    self._cached[set_name] = built
            if self._cache is not None:
                self._cache.save(cached.row, snapshot)
        except KinolexError:
            # the set was deleted or the database failed: the next request schedules it again
            self._log.info("index_not_compacted", label_set=set_name, exc_info=True)


def _is_at(cached: _Cached, row: Row[Any]) -> bool:
    return (cached.row.id, cached.snapshot.revision) == (row.id, row.revision)


def _can_update(cached: _Cached, row: Row[Any]) -> bool:
    # a snapshot can be ahead of the database: an older copy of the database was restored
    revision = cached.snapshot.revision
    return bool(cached.row.id == row.id and row.complete_since <= revision <= row.revision)


def _changed(thresholds: Mapping[str, float], changes: Changes) -> Mapping[str, float]:
    outdated = thresholds.keys() & (changes.hidden.keys() | changes.keys)
    if not outdated and not changes.thresholds:
        return thresholds
    kept = {**thresholds, **changes.thresholds}
    for key in outdated - changes.thresholds.keys():
        del kept[key]
    return kept
