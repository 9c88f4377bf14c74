"""The index that requests search: a cache of the database, advanced by what has changed.

Readers never see half a write and never wait for one: each snapshot is immutable, and the next
one is built beside it. Who has seen a newer revision in the database waits until it is built, so
that a label is found by the first request after its PUT, in every process.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Engine, Row

from app.store.changes import Changes
from app.store.database import reading, writing
from app.store.index_cache import LEAST_SAVED, IndexCache, count_enabled
from app.store.low_priority import lower_priority
from app.store.reads import set_row
from app.store.records import LabelSnapshot, PrototypeSource, SetNotFound
from app.store.rows import label_of
from app.store.writes import keep_vectors
from model import KinolexError, LabelBlock, LabelIndex, Prototypes

# Sets whose index stays in memory; the least recently asked one makes room.
_CACHED_SETS = 64

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Cached:
    """A snapshot, its set's row at that revision, and the block of its index that is on file."""

    row: Row[Any]
    snapshot: LabelSnapshot
    on_file: LabelBlock | None = None


class Snapshots:
    """One process's snapshots of all sets; safe to call from any thread.

    Without a `cache` every start reads whole sets.
    """

    def __init__(
        self, engine: Engine, source: PrototypeSource, cache: IndexCache | None = None
    ) -> None:
        self._engine = engine
        self._source = source
        self._cache = cache
        self._cached: OrderedDict[str, _Cached] = OrderedDict()
        self._guard = threading.Lock()
        self._building: dict[str, threading.Lock] = {}
        self._tended: set[str] = set()
        self._tending = ThreadPoolExecutor(1, "index", initializer=lower_priority)

    def close(self) -> None:
        """Ends the background work after the index at hand."""
        self._tending.shutdown(cancel_futures=True)

    @property
    def names(self) -> list[str]:
        """The sets whose index is in memory."""
        with self._guard:
            return list(self._cached)

    def get(self, set_name: str) -> LabelSnapshot:
        """The set at its newest revision, which one small query asks for.

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
            cached = self._recall(set_name)
            building = self._building.setdefault(set_name, threading.Lock())
        if cached is not None and _is_at(cached, row):
            return cached.snapshot
        with building:
            with self._guard:
                cached = self._recall(set_name)
            built = self._build(set_name, cached)
            self._keep(set_name, built)
        if self._wants_tending(built):
            self._tend_soon(set_name)
        return built.snapshot

    def _recall(self, set_name: str) -> _Cached | None:
        if set_name in self._cached:
            self._cached.move_to_end(set_name)
        return self._cached.get(set_name)

    def _keep(self, set_name: str, built: _Cached) -> None:
        with self._guard:
            self._cached[set_name] = built
            self._cached.move_to_end(set_name)
            if len(self._cached) > _CACHED_SETS:
                forgotten, _ = self._cached.popitem(last=False)
                self._building.pop(forgotten, None)

    def _build(self, set_name: str, cached: _Cached | None) -> _Cached:
        with reading(self._engine) as connection:
            row = set_row(connection, set_name)
            if cached is not None and _is_at(cached, row):
                return cached
            if cached is not None and _leads_to(cached, row):
                snapshot, changes = self._read(connection, row, cached.snapshot)
                on_file = cached.on_file
            elif (found := self._read_from_file(connection, row)) is not None:
                snapshot, changes = found
                on_file = snapshot.index.base
            else:
                snapshot, changes = self._read(connection, row, None)
                on_file = None
        vectors = self._embed(changes)
        if vectors:
            snapshot = replace(snapshot, index=snapshot.index.upsert(vectors))
        return _Cached(row, snapshot, on_file)

    def _read(
        self, connection: Connection, row: Row[Any], base: LabelSnapshot | None
    ) -> tuple[LabelSnapshot, Changes]:
        changes = Changes(self._source, row.id, -1 if base is None else base.revision)
        shown = changes.shown(connection)
        if base is None:
            index = LabelIndex.build(shown, self._source.text.dim)
            index = index.with_thresholds(changes.thresholds)
            return LabelSnapshot(row.name, row.revision, index), changes
        index = base.index.upsert(shown).remove(changes.hidden.values())
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
        _log.warning("the kept index of %r is not what the database holds", row.name)
        return None

    def _embed(self, changes: Changes) -> list[tuple[str, Prototypes]]:
        """Vectors for labels that another checkpoint's replica wrote; kept for the next reader."""
        rows = changes.without_vectors
        if not rows:
            return []
        prototypes = self._source.prototypes([label_of(row) for row in rows])
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

    def _wants_tending(self, cached: _Cached) -> bool:
        index = cached.snapshot.index
        is_worth_a_file = self._cache is not None and len(index) >= LEAST_SAVED
        return index.needs_merge or (is_worth_a_file and cached.on_file is not index.base)

    def _tend_soon(self, set_name: str) -> None:
        with self._guard:
            if set_name not in self._tended:
                self._tended.add(set_name)
                self._tending.submit(self._tend, set_name)

    def _tend(self, set_name: str) -> None:
        """Merges a set's index and saves it; readers go on with what there was."""
        with self._guard:
            self._tended.discard(set_name)
            cached = self._cached.get(set_name)
            building = self._building.setdefault(set_name, threading.Lock())
        if cached is None or not self._wants_tending(cached):
            return
        try:
            index = cached.snapshot.index.merged(self._source.typical_videos)
            snapshot = replace(cached.snapshot, index=index)
            with building:
                # what was written meanwhile is read once more, on top of the merged index
                merged = _Cached(cached.row, snapshot, index.base)
                self._keep(set_name, self._build(set_name, merged))
            if self._cache is not None:
                self._cache.save(cached.row, snapshot)
        except KinolexError:
            # a set that is gone, a database that is away: whoever asks next begins again
            _log.info("the index of %r stays as it is", set_name, exc_info=True)


def _is_at(cached: _Cached, row: Row[Any]) -> bool:
    return (cached.row.id, cached.snapshot.revision) == (row.id, row.revision)


def _leads_to(cached: _Cached, row: Row[Any]) -> bool:
    # a revision ahead of the database's means that an older copy of it was put back
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
