"""The index that requests search: a cache of the database, advanced by what has changed.

Readers never see half a write and never wait for one: each snapshot is immutable, and the next
one is built beside it. Who has seen a newer revision in the database waits until it is built, so
that a label is found by the first request after its PUT, in every process.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, Row, select

from app.store.database import reading, writing
from app.store.examples import changed_examples
from app.store.reads import fits, set_row
from app.store.records import LabelSnapshot, LabelsNotReady, PrototypeSource, SetNotFound
from app.store.rows import label_of, stored_prototypes
from app.store.tables import LabelRow, PrototypeRow, RemovalRow
from app.store.writes import keep_vectors
from model import LabelIndex, Prototypes

# Sets whose index stays in memory; the least recently asked one makes room.
_CACHED_SETS = 64
# More labels than this without vectors are not worth a request's wait: seconds of text model.
MOST_EMBEDDED_IN_PASSING = 1_000


@dataclass(frozen=True, slots=True)
class _Cached:
    set_id: int
    snapshot: LabelSnapshot


class Snapshots:
    """One process's snapshots of all sets; safe to call from any thread."""

    def __init__(self, engine: Engine, source: PrototypeSource) -> None:
        self._engine = engine
        self._source = source
        self._cached: OrderedDict[str, _Cached] = OrderedDict()
        self._guard = threading.Lock()
        self._building: dict[str, threading.Lock] = {}

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
            with self._guard:
                self._cached[set_name] = built
                self._cached.move_to_end(set_name)
                if len(self._cached) > _CACHED_SETS:
                    forgotten, _ = self._cached.popitem(last=False)
                    self._building.pop(forgotten, None)
        return built.snapshot

    def _recall(self, set_name: str) -> _Cached | None:
        if set_name in self._cached:
            self._cached.move_to_end(set_name)
        return self._cached.get(set_name)

    def _build(self, set_name: str, cached: _Cached | None) -> _Cached:
        space, dim = self._source.text_space, self._source.text.dim
        with reading(self._engine) as connection:
            row = set_row(connection, set_name)
            if cached is not None and _is_at(cached, row):
                return cached
            base = cached.snapshot if cached is not None and _leads_to(cached, row) else None
            since = -1 if base is None else base.revision
            changes = _read_changes(connection, row.id, space, since)
            examples = changed_examples(connection, row.id, self._source.video_space, since)
        vectors = self._embed(changes.without_vectors)
        shown = [
            (name, self._source.teach(made, examples[name]) if name in examples else made)
            for name, made in (*changes.shown, *vectors)
        ]
        if base is None:
            return _Cached(
                row.id,
                LabelSnapshot(
                    set_name, row.revision, LabelIndex.build(shown, dim), changes.thresholds
                ),
            )
        index = base.index.remove(changes.hidden.values()) if changes.hidden else base.index
        thresholds = {
            key: threshold
            for key, threshold in base.thresholds.items()
            if key not in changes.hidden and key not in changes.keys
        }
        return _Cached(
            row.id,
            LabelSnapshot(
                set_name,
                row.revision,
                index.upsert(shown) if shown else index,
                thresholds | changes.thresholds,
            ),
        )

    def _embed(self, rows: list[Row[Any]]) -> list[tuple[str, Prototypes]]:
        """Vectors for labels that another checkpoint's replica wrote; kept for the next reader."""
        if not rows:
            return []
        prototypes = self._source.prototypes([label_of(row) for row in rows])
        with writing(self._engine) as connection:
            keep_vectors(
                connection,
                self._source.text_space,
                [(row.id, row.text_hash, made) for row, made in zip(rows, prototypes, strict=True)],
            )
        return [(row.name, made) for row, made in zip(rows, prototypes, strict=True)]


@dataclass(slots=True)
class _Changes:
    """What a set's readers must do to come from one revision to the next."""

    shown: list[tuple[str, Prototypes]] = field(default_factory=list)
    thresholds: dict[str, float] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    without_vectors: list[Row[Any]] = field(default_factory=list)


def _is_at(cached: _Cached, row: Row[Any]) -> bool:
    return (cached.set_id, cached.snapshot.revision) == (row.id, row.revision)


def _leads_to(cached: _Cached, row: Row[Any]) -> bool:
    # a revision ahead of the database's means that an older copy of it was put back
    revision = cached.snapshot.revision
    return bool(cached.set_id == row.id and row.complete_since <= revision <= row.revision)


def _read_changes(connection: Connection, set_id: int, text_space: str, since: int) -> _Changes:
    changes = _Changes()
    # closed also when it is left half read: PostgreSQL holds a cursor for it
    with _rows_after(connection, set_id, text_space, since) as rows:
        for row in rows:
            _take_row(row, changes)
    if since >= 0:
        removals = select(RemovalRow.key, RemovalRow.name).where(
            RemovalRow.set_id == set_id, RemovalRow.revision > since
        )
        changes.hidden.update((row.key, row.name) for row in connection.execute(removals))
    return changes


def _take_row(row: Row[Any], changes: _Changes) -> None:
    changes.keys.add(row.key)
    if not row.enabled:
        changes.hidden[row.key] = row.name
        return
    if row.threshold is not None:
        changes.thresholds[row.key] = row.threshold
    if row.vectors is not None:
        made = stored_prototypes(row.vector_texts, row.vectors, row.background)
        changes.shown.append((row.name, made))
        return
    changes.without_vectors.append(row)
    if len(changes.without_vectors) > MOST_EMBEDDED_IN_PASSING:
        raise LabelsNotReady("the labels are being embedded for a new text model")


def _rows_after(
    connection: Connection, set_id: int, text_space: str, since: int
) -> CursorResult[Any]:
    statement = (
        select(
            LabelRow.id,
            LabelRow.key,
            LabelRow.name,
            LabelRow.prompts,
            LabelRow.aliases,
            LabelRow.description,
            LabelRow.threshold,
            LabelRow.enabled,
            LabelRow.text_hash,
            PrototypeRow.texts.label("vector_texts"),
            PrototypeRow.vectors,
            PrototypeRow.background,
        )
        .outerjoin(PrototypeRow, fits(text_space))
        .where(LabelRow.set_id == set_id, LabelRow.revision > since)
        .order_by(LabelRow.id)
        .execution_options(yield_per=1_000)
    )
    return connection.execute(statement)
