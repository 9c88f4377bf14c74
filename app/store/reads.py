"""Queries that read label sets and labels."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, select

from app.store.records import (
    SET_NAME,
    FoundSet,
    LabelNotFound,
    LabelPage,
    SetNotFound,
    SetState,
    StoredLabel,
)
from app.store.rows import LABEL_COLUMNS, set_state, stored_label
from app.store.tables import SETS, LabelRow, PrototypeRow
from model import folded_text, label_key

# Built once: every request runs it, and building it takes longer than running it.
_SET_BY_NAME = select(SETS).where(SETS.c.name == bindparam("name"), SETS.c.deleted.is_(False))
_LOCKED_SET_BY_NAME = _SET_BY_NAME.with_for_update()


def set_row(connection: Connection, name: str, *, lock: bool = False) -> Row[Any]:
    """Return the row of a set; with `lock`, lock it against writers. Raises SetNotFound."""
    if not SET_NAME.fullmatch(name):
        # databases reject queries with some characters, such as NUL
        raise SetNotFound("no label set has a name like this")
    statement = _LOCKED_SET_BY_NAME if lock else _SET_BY_NAME
    row = connection.execute(statement, {"name": name}).one_or_none()
    if row is None:
        raise SetNotFound(f"there is no label set {name!r}")
    return row


def found_set(connection: Connection, name: str) -> FoundSet:
    """Return a set's state for `FoundSet.check`, also if it does not exist or is deleted."""
    if not SET_NAME.fullmatch(name):
        return FoundSet(0, None)
    row = connection.execute(select(SETS).where(SETS.c.name == name)).one_or_none()
    if row is None:
        return FoundSet(0, None)
    return FoundSet(row.revision, None if row.deleted else row.created_at)


def list_sets(
    connection: Connection, after: str, limit: int, among: Collection[str] | None = None
) -> list[SetState]:
    """Return up to `limit` sets with names after `after` (and in `among`), sorted by name."""
    statement = select(SETS).where(SETS.c.name > after, SETS.c.deleted.is_(False))
    if among is not None:
        statement = statement.where(SETS.c.name.in_(among))
    rows = connection.execute(statement.order_by(SETS.c.name).limit(limit))
    return [set_state(row) for row in rows]


def one_label(connection: Connection, set_name: str, name: str) -> tuple[SetState, StoredLabel]:
    """Return a label by any spelling. Raises SetNotFound, LabelNotFound or LabelError."""
    found = set_row(connection, set_name)
    row = connection.execute(
        select(*LABEL_COLUMNS).where(LabelRow.set_id == found.id, LabelRow.key == label_key(name))
    ).one_or_none()
    if row is None:
        raise LabelNotFound(f"label set {set_name!r} has no label {name!r}")
    return set_state(found), stored_label(row)


def page_of_labels(
    connection: Connection, set_name: str, *, after: str, limit: int, query: str
) -> LabelPage:
    """Return labels with keys after `after` and texts that contain `query`. Raises SetNotFound."""
    found = set_row(connection, set_name)
    statement = (
        select(*LABEL_COLUMNS)
        .where(LabelRow.set_id == found.id, LabelRow.key > after)
        .order_by(LabelRow.key)
        .limit(limit + 1)
    )
    searched = folded_text(query)
    if searched:
        statement = statement.where(LabelRow.search_text.contains(searched, autoescape=True))
    rows = connection.execute(statement).all()
    last_key = rows[limit - 1].key if len(rows) > limit else None
    return LabelPage(set_state(found), tuple(stored_label(row) for row in rows[:limit]), last_key)


def fits(text_space: str) -> ColumnElement[bool]:
    """Condition that joins a label to its up-to-date vectors in a text space."""
    return (
        (PrototypeRow.label_id == LabelRow.id)
        & (PrototypeRow.text_space == text_space)
        & (PrototypeRow.text_hash == LabelRow.text_hash)
    )


def count_labels(connection: Connection) -> int:
    """Return the number of labels over all sets."""
    return connection.execute(select(func.count()).select_from(LabelRow)).scalar_one()


def count_without_vectors(connection: Connection, text_space: str) -> int:
    """Return the number of labels, over all sets, without up-to-date vectors in a text space."""
    statement = (
        select(func.count())
        .select_from(LabelRow)
        .outerjoin(PrototypeRow, fits(text_space))
        .where(PrototypeRow.label_id.is_(None))
    )
    return connection.execute(statement).scalar_one()
