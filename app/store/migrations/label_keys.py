"""Compute the keys of stored labels again, where a release reads names in another way."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from app.store.records import NewLabel
from app.store.rows import label_values
from model import Label, LabelError, clean_name, label_key, plain_text

_SETS = sa.table("label_sets", *map(sa.column, ("id", "revision", "complete_since")))
_LABELS = sa.table(
    "labels",
    sa.column("id"),
    sa.column("set_id"),
    sa.column("key"),
    sa.column("name"),
    sa.column("prompts", sa.JSON()),
    sa.column("aliases", sa.JSON()),
    sa.column("description"),
    sa.column("threshold"),
    sa.column("search_text"),
    sa.column("text_hash"),
    sa.column("revision"),
    sa.column("updated_at", sa.DateTime(timezone=True)),
)
_PROTOTYPES = sa.table("prototypes", sa.column("label_id"))
_TEXTS = ("name", "prompts", "aliases", "description")


def compute_keys_again(connection: sa.Connection) -> None:
    """Rename the labels whose key has changed; a name that is taken gets a number.

    Labels with a text that is read in another way lose their vectors, and are embedded again.
    """
    columns = (_LABELS.c.id, _LABELS.c.key, *(_LABELS.c[name] for name in _TEXTS))
    rows = connection.execute(sa.select(*columns)).yield_per(1_000)
    changed = [row.id for row in rows if not _is_plain(row) or _has_another_key(row)]
    revisions: dict[int, int] = {}
    for label_id in changed:
        row = connection.execute(sa.select(_LABELS).where(_LABELS.c.id == label_id)).one()
        if row.set_id not in revisions:
            revisions[row.set_id] = _next_revision(connection, row.set_id)
        _rename(connection, row, revisions[row.set_id])


def _key(name: str) -> str | None:
    try:
        return label_key(name)
    except LabelError:
        return None


def _has_another_key(row: sa.Row[Any]) -> bool:
    return not row.name.isascii() and _key(row.name) != row.key


def _is_plain(row: sa.Row[Any]) -> bool:
    texts = [row.name, *row.prompts, *row.aliases, row.description or ""]
    return all(plain_text(text) == text for text in texts if not text.isascii())


def _next_revision(connection: sa.Connection, set_id: int) -> int:
    """Increment a set's revision, so that readers with an older index read the whole set."""
    after: int = connection.execute(
        sa.update(_SETS)
        .where(_SETS.c.id == set_id)
        .values(revision=_SETS.c.revision + 1, complete_since=_SETS.c.revision + 1)
        .returning(_SETS.c.revision)
    ).scalar_one()
    return after


def _rename(connection: sa.Connection, row: sa.Row[Any], revision: int) -> None:
    name = _free_name(connection, row)
    label = Label(name, tuple(row.prompts), tuple(row.aliases), row.description, row.threshold)
    values = label_values(NewLabel(label), label_key(name))
    changed = {column: values[column] for column in ("key", "name", "search_text", "text_hash")}
    connection.execute(
        sa.update(_LABELS)
        .where(_LABELS.c.id == row.id)
        .values(**changed, revision=revision, updated_at=datetime.now(UTC))
    )
    connection.execute(sa.delete(_PROTOTYPES).where(_PROTOTYPES.c.label_id == row.id))


def _free_name(connection: sa.Connection, row: sa.Row[Any]) -> str:
    wanted = clean_name(row.name) if _key(row.name) is not None else f"label {row.id}"
    name, number = wanted, 1
    while _is_taken(connection, row, label_key(name)):
        number += 1
        name = f"{wanted[:190]} ({number})"
    return name


def _is_taken(connection: sa.Connection, row: sa.Row[Any], key: str) -> bool:
    others = (_LABELS.c.set_id == row.set_id, _LABELS.c.key == key, _LABELS.c.id != row.id)
    return connection.execute(sa.select(_LABELS.c.id).where(*others)).first() is not None
