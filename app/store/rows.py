"""Converts records to database rows and back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Row

from app.store.records import NewLabel, SetState, StoredLabel
from app.store.tables import LabelRow
from model import Label, Prototypes, folded_text

# little-endian on every machine that shares the database
_FLOAT32 = np.dtype("<f4")

LABEL_COLUMNS = (
    LabelRow.key,
    LabelRow.name,
    LabelRow.prompts,
    LabelRow.aliases,
    LabelRow.description,
    LabelRow.language,
    LabelRow.threshold,
    LabelRow.enabled,
    LabelRow.extra,
    LabelRow.revision,
    LabelRow.created_at,
    LabelRow.updated_at,
)


def label_values(new: NewLabel, key: str) -> dict[str, Any]:
    """Return a label's columns except set, revision and timestamps."""
    label = new.label
    searchable = (label.name, *label.aliases, label.description or "")
    return {
        "key": key,
        "name": label.name,
        "prompts": list(label.prompts),
        "aliases": list(label.aliases),
        "description": label.description,
        "language": new.language,
        "threshold": label.threshold,
        "enabled": new.enabled,
        "metadata": dict(new.metadata),
        "search_text": "\n".join(map(folded_text, searchable)),
        "text_hash": new.text_hash,
    }


def label_of(row: Any) -> Label:
    """Return the library's label from a row."""
    return Label(row.name, tuple(row.prompts), tuple(row.aliases), row.description, row.threshold)


def stored_label(row: Row[Any]) -> StoredLabel:
    """Return the label from a row of LABEL_COLUMNS."""
    return StoredLabel(
        NewLabel(label_of(row), row.language, row.enabled, row.metadata),
        row.revision,
        row.created_at,
        row.updated_at,
    )


def set_state(row: Row[Any]) -> SetState:
    """Return the state from a row of the table of sets."""
    return SetState(row.name, row.revision, row.size, row.created_at, row.updated_at)


def prototype_values(prototypes: Prototypes) -> dict[str, Any]:
    """Return a label's prototypes as columns."""
    return {
        "texts": list(prototypes.texts),
        "vectors": pack(prototypes.vectors),
        "background": pack(prototypes.background),
    }


def stored_prototypes(texts: Sequence[str], vectors: bytes, background: bytes) -> Prototypes:
    """Return prototypes from their columns."""
    rows = len(texts)
    return Prototypes(
        tuple(texts),
        unpack(vectors, rows),
        unpack(background, rows),
    )


def pack(matrix: npt.NDArray[np.float32]) -> bytes:
    """Return the bytes of vectors for a column."""
    return np.ascontiguousarray(matrix, _FLOAT32).tobytes()


def unpack(column: bytes, rows: int) -> npt.NDArray[np.float32]:
    """Return a column's vectors as (rows, ...) float32."""
    return np.frombuffer(column, _FLOAT32).reshape(rows, -1).astype(np.float32, copy=False)


def set_values(name: str, now: datetime) -> dict[str, Any]:
    """Return the columns of a placeholder row for a new set, marked as deleted, to be locked."""
    return {
        "name": name,
        "revision": 0,
        "complete_since": 0,
        "size": 0,
        "deleted": True,
        "created_at": now,
        "updated_at": now,
    }
