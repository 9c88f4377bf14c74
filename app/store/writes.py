"""The SQL of a label write: lock the set, check the condition, change rows, count the revision."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Table, delete, func, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.store.reads import set_row
from app.store.records import (
    SET_NAME,
    Condition,
    FoundSet,
    NewLabel,
    SetNotFound,
    SetProtected,
    SetState,
    Written,
)
from app.store.rows import label_values, prototype_values, set_state, set_values
from app.store.tables import (
    LABELS,
    PROTOTYPES,
    SETS,
    LabelRow,
    LabelSetRow,
    PrototypeRow,
    RemovalRow,
)
from model import LabelError, Prototypes

# Number of revisions for which removals are kept; readers further behind read the whole set.
REVISIONS_OF_REMOVALS = 10_000
# PostgreSQL's notification channel; the payload is the name of a set that was written
CHANNEL = "kinolex_labels"
# Keys per IN list; SQLite allows 32,766 variables per statement.
_MAX_KEYS = 5_000


class PrototypesNeeded(Exception):
    """Labels changed between embedding and writing: embed `keys` too, and write again."""

    def __init__(self, keys: Iterable[str]) -> None:
        super().__init__("some labels have no vectors yet")
        self.keys = frozenset(keys)


@dataclass(frozen=True, slots=True)
class LockedSet:
    """A set locked by this transaction, at its new revision."""

    connection: Connection
    id: int
    name: str
    revision: int
    size: int
    complete_since: int
    now: datetime


def lock_set(
    connection: Connection,
    name: str,
    condition: Condition,
    *,
    create: bool = False,
    found: FoundSet | None = None,
) -> LockedSet:
    """Lock the set's row until the transaction ends, and increment its revision.

    Raises ConditionFailed when the condition does not hold, SetNotFound when there is no such set
    and `create` is False, SetDeleted when it was deleted since it was `found`, and LabelError when
    the name is not valid.
    """
    if not SET_NAME.fullmatch(name):
        raise LabelError("a label set's name has 1 to 64 letters, digits, '.', '_' or '-'")
    now = datetime.now(UTC)
    if create:
        connection.execute(
            insert_into(connection, SETS).values(**set_values(name, now)).on_conflict_do_nothing()
        )
    row = connection.execute(
        update(SETS)
        .where(SETS.c.name == name)
        .values(revision=SETS.c.revision + 1, updated_at=now)
        .returning(*SETS.columns)
    ).one_or_none()
    exists = row is not None and not row.deleted
    if found is not None and row is not None:
        found.check(name, row.revision - 1, row.created_at if exists else None)
    condition.check(name, row.revision - 1 if row is not None and exists else None)
    if row is None or not (exists or create):
        raise SetNotFound(f"there is no label set {name!r}")
    if not exists:
        connection.execute(
            update(LabelSetRow)
            .where(LabelSetRow.id == row.id)
            .values(deleted=False, created_at=now)
        )
    return LockedSet(connection, row.id, name, row.revision, row.size, row.complete_since, now)


def lock_for_copy(
    connection: Connection, source_name: str, name: str, condition: Condition
) -> tuple[int, LockedSet]:
    """Lock the source and the target of a copy; return the source's id and the target.

    Raises SetProtected if both are the same set, SetNotFound for the source, and ConditionFailed
    for the target.
    """
    if source_name == name:
        raise SetProtected("a label set cannot be copied onto itself")
    # in the order of their names, so that two opposite copies cannot deadlock
    if source_name < name:
        source = set_row(connection, source_name, lock=True)
        target = lock_set(connection, name, condition, create=True)
    else:
        target = lock_set(connection, name, condition, create=True)
        source = set_row(connection, source_name, lock=True)
    return source.id, target


def finish(locked: LockedSet, size_change: int, *, read_anew: bool = False) -> SetState:
    """Update the set's size, delete old removals, and return the new state.

    With `read_anew`, readers at an older revision read the whole set instead of the changes.
    """
    connection = locked.connection
    oldest = locked.revision if read_anew else locked.revision - REVISIONS_OF_REMOVALS
    complete_since = max(locked.complete_since, oldest)
    if complete_since > locked.complete_since:
        connection.execute(
            delete(RemovalRow).where(
                RemovalRow.set_id == locked.id, RemovalRow.revision <= complete_since
            )
        )
    row = connection.execute(
        update(SETS)
        .where(SETS.c.id == locked.id)
        .values(size=locked.size + size_change, complete_since=complete_since)
        .returning(*SETS.columns)
    ).one()
    if connection.dialect.name == "postgresql":
        # PostgreSQL sends it on commit
        connection.execute(select(func.pg_notify(CHANNEL, locked.name)))
    return set_state(row)


def hashes_of_stored(
    connection: Connection, set_id: int, keys: Sequence[str], text_space: str
) -> dict[str, str | None]:
    """Return the text hashes of stored vectors by key, of those `keys` that are in the set.

    A hash is None when the label has no vectors in the text space.
    """
    found: dict[str, str | None] = {}
    for chunk in _chunks(keys):
        rows = connection.execute(
            select(LabelRow.key, PrototypeRow.text_hash)
            .outerjoin(
                PrototypeRow,
                (PrototypeRow.label_id == LabelRow.id) & (PrototypeRow.text_space == text_space),
            )
            .where(LabelRow.set_id == set_id, LabelRow.key.in_(chunk))
        )
        found.update((row.key, row.text_hash) for row in rows)
    return found


def put_labels(
    locked: LockedSet,
    labels: Mapping[str, NewLabel],
    prototypes: Mapping[str, Prototypes],
    text_space: str,
    check: Callable[[], None],
) -> int:
    """Create or replace labels by key; return the number created.

    `prototypes` can omit labels whose stored vectors are up to date. `check` is called every few
    thousand labels and raises if the write must stop. Raises PrototypesNeeded when an omitted label
    has none.
    """
    stored = hashes_of_stored(locked.connection, locked.id, list(labels), text_space)
    missing = [
        key
        for key, new in labels.items()
        if key not in prototypes and stored.get(key) != new.text_hash
    ]
    if missing:
        raise PrototypesNeeded(missing)
    for chunk in _chunks(list(labels)):
        check()
        _put_label_rows(locked, {key: labels[key] for key in chunk})
        _put_prototype_rows(
            locked,
            labels,
            {key: prototypes[key] for key in chunk if key in prototypes},
            text_space,
        )
    check()
    new_keys = [key for key in labels if key not in stored]
    for chunk in _chunks(new_keys):
        locked.connection.execute(
            delete(RemovalRow).where(RemovalRow.set_id == locked.id, RemovalRow.key.in_(chunk))
        )
    return len(new_keys)


def _put_label_rows(locked: LockedSet, labels: Mapping[str, NewLabel]) -> None:
    statement = insert_into(locked.connection, LABELS)
    kept = {"id", "set_id", "key", "created_at"}
    replaced = {
        column.name: statement.excluded[column.name]
        for column in LABELS.columns
        if column.name not in kept
    }
    written = {
        "set_id": locked.id,
        "revision": locked.revision,
        "created_at": locked.now,
        "updated_at": locked.now,
    }
    locked.connection.execute(
        statement.on_conflict_do_update(index_elements=["set_id", "key"], set_=replaced),
        [{**label_values(new, key), **written} for key, new in labels.items()],
    )


def _put_prototype_rows(
    locked: LockedSet,
    labels: Mapping[str, NewLabel],
    prototypes: Mapping[str, Prototypes],
    text_space: str,
) -> None:
    if not prototypes:
        return
    ids = locked.connection.execute(
        select(LabelRow.key, LabelRow.id).where(
            LabelRow.set_id == locked.id, LabelRow.key.in_(list(prototypes))
        )
    )
    _store_prototypes(
        locked.connection,
        text_space,
        ((row.id, labels[row.key].text_hash, prototypes[row.key]) for row in ids.all()),
    )


def _store_prototypes(
    connection: Connection, text_space: str, items: Iterable[tuple[int, str, Prototypes]]
) -> None:
    rows = [
        {
            "label_id": label_id,
            "text_space": text_space,
            "text_hash": text_hash,
            **prototype_values(prototypes),
        }
        for label_id, text_hash, prototypes in items
    ]
    if not rows:
        return
    statement = insert_into(connection, PROTOTYPES)
    replaced = {
        name: statement.excluded[name] for name in ("text_hash", "texts", "vectors", "background")
    }
    connection.execute(
        statement.on_conflict_do_update(index_elements=["label_id", "text_space"], set_=replaced),
        rows,
    )


def keep_vectors(
    connection: Connection, text_space: str, items: Sequence[tuple[int, str, Prototypes]]
) -> None:
    """Store (label id, text hash, prototypes) items; skip labels whose texts have changed since."""
    current = connection.execute(
        select(LabelRow.id, LabelRow.text_hash)
        .where(LabelRow.id.in_([label_id for label_id, _, _ in items]))
        .with_for_update(read=True)
    )
    unchanged = {(row.id, row.text_hash) for row in current}
    _store_prototypes(connection, text_space, [item for item in items if item[:2] in unchanged])


def remove_labels(locked: LockedSet, keys: Sequence[str]) -> int:
    """Remove the set's labels among `keys`; return the number removed."""
    removed = 0
    for chunk in _chunks(keys):
        rows = locked.connection.execute(
            delete(LabelRow)
            .where(LabelRow.set_id == locked.id, LabelRow.key.in_(chunk))
            .returning(LabelRow.key, LabelRow.name)
        ).all()
        removed += len(rows)
        if rows:
            locked.connection.execute(
                insert(RemovalRow),
                [
                    {
                        "set_id": locked.id,
                        "key": row.key,
                        "name": row.name,
                        "revision": locked.revision,
                    }
                    for row in rows
                ],
            )
    return removed


def remove_others(locked: LockedSet, kept: Container[str]) -> int:
    """Remove the set's labels that are not in `kept`; return the number removed."""
    keys = locked.connection.execute(
        select(LabelRow.key).where(LabelRow.set_id == locked.id)
    ).scalars()
    return remove_labels(locked, [key for key in keys if key not in kept])


def remove_all(locked: LockedSet) -> int:
    """Remove all labels without recording removals; call `finish` with `read_anew` afterwards."""
    gone = delete(LabelRow).where(LabelRow.set_id == locked.id)
    return locked.connection.execute(gone).rowcount


def delete_set(locked: LockedSet) -> Written:
    """Delete the set and its labels; the row stays, so that revisions never decrease."""
    removed = remove_all(locked)
    state = finish(locked, -removed, read_anew=True)
    locked.connection.execute(
        update(LabelSetRow).where(LabelSetRow.id == locked.id).values(deleted=True)
    )
    return Written(state, removed=removed)


def copy_labels(locked: LockedSet, source_id: int) -> int:
    """Copy all labels of another set, with vectors, into this empty set; return the number."""
    copied = [c for c in LABELS.columns if c.name not in ("id", "set_id", "revision")]
    labels = (
        insert(LABELS)
        .from_select(
            [*(column.name for column in copied), "set_id", "revision"],
            select(*copied, literal(locked.id), literal(locked.revision)).where(
                LABELS.c.set_id == source_id
            ),
        )
        .execution_options(preserve_rowcount=True)
    )
    count = locked.connection.execute(labels).rowcount
    target = LABELS.alias()
    vectors = [column for column in PROTOTYPES.columns if column.name != "label_id"]
    locked.connection.execute(
        insert(PROTOTYPES).from_select(
            ["label_id", *(column.name for column in vectors)],
            select(target.c.id, *vectors)
            .join_from(PROTOTYPES, LABELS, LABELS.c.id == PROTOTYPES.c.label_id)
            .join(target, (target.c.key == LABELS.c.key) & (target.c.set_id == locked.id))
            .where(LABELS.c.set_id == source_id),
        )
    )
    return count


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT with ON CONFLICT support, in the connection's dialect."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def _chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[start : start + _MAX_KEYS] for start in range(0, len(keys), _MAX_KEYS))
