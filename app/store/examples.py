"""The SQL of label examples: embeddings of videos that show a label."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from app.store.reads import set_row
from app.store.records import (
    Example,
    ExampleNotFound,
    LabelNotFound,
    SetState,
    StoredExample,
    TooManyExamples,
)
from app.store.rows import pack, set_state, unpack
from app.store.tables import EXAMPLES, LABELS, ExampleRow, LabelRow
from app.store.writes import LockedSet, insert_into
from model import label_key

# Beyond a few dozen, more examples hardly change the mean, and every process loads all of them.
MAX_EXAMPLES = 100


def put_examples(
    locked: LockedSet, name: str, examples: Sequence[Example], video_space: str
) -> tuple[int, int]:
    """Add examples to a label; return the number added, and the new total in the video space.

    Raises LabelNotFound or TooManyExamples.
    """
    label_id = _touch(locked, name)
    rows = [
        {
            "label_id": label_id,
            "video_space": video_space,
            "sha256": example.sha256,
            "vector": pack(example.vector),
            "created_at": locked.now,
        }
        for example in {each.sha256: each for each in examples}.values()
    ]
    before = _count(locked.connection, label_id, video_space)
    locked.connection.execute(
        insert_into(locked.connection, EXAMPLES).on_conflict_do_nothing(), rows
    )
    after = _count(locked.connection, label_id, video_space)
    if after > MAX_EXAMPLES:
        raise TooManyExamples(f"a label may have {MAX_EXAMPLES} examples, this would make {after}")
    return after - before, after


def remove_examples(
    locked: LockedSet, name: str, sha256: str | None, video_space: str
) -> tuple[int, int]:
    """Remove the examples with a digest, or all if it is None, in every video space.

    Returns the number removed, and the number left in `video_space`. Raises LabelNotFound, and
    ExampleNotFound when the label has no example with the digest.
    """
    label_id = _touch(locked, name)
    gone = delete(ExampleRow).where(ExampleRow.label_id == label_id)
    if sha256 is not None:
        gone = gone.where(ExampleRow.sha256 == sha256)
    removed = locked.connection.execute(gone).rowcount
    if sha256 is not None and not removed:
        raise ExampleNotFound(f"label {name!r} has no example with sha256 {sha256!r:.80}")
    return removed, _count(locked.connection, label_id, video_space)


def examples_of(
    connection: Connection, set_name: str, name: str
) -> tuple[SetState, list[StoredExample]]:
    """Return a label's examples in all video spaces, oldest first.

    Raises SetNotFound or LabelNotFound.
    """
    found = set_row(connection, set_name)
    label_id = connection.execute(
        select(LabelRow.id).where(LabelRow.set_id == found.id, LabelRow.key == label_key(name))
    ).scalar_one_or_none()
    if label_id is None:
        raise LabelNotFound(f"label set {set_name!r} has no label {name!r}")
    rows = connection.execute(
        select(ExampleRow.sha256, ExampleRow.video_space, ExampleRow.created_at)
        .where(ExampleRow.label_id == label_id)
        .order_by(ExampleRow.created_at, ExampleRow.sha256)
    )
    stored = [StoredExample(row.sha256, row.video_space, row.created_at) for row in rows]
    return set_state(found), stored


def changed_examples(
    connection: Connection, set_id: int, video_space: str, since: int
) -> Mapping[str, npt.NDArray[np.float32]]:
    """Return (N, dim) float32 examples by name, of labels written after the revision `since`."""
    rows = connection.execute(
        select(LabelRow.name, ExampleRow.vector)
        .join_from(ExampleRow, LabelRow, LabelRow.id == ExampleRow.label_id)
        .where(
            LabelRow.set_id == set_id,
            LabelRow.revision > since,
            ExampleRow.video_space == video_space,
        )
        # floating-point sums depend on the order
        .order_by(LabelRow.id, ExampleRow.sha256)
    )
    by_name: dict[str, list[bytes]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row.vector)
    return {name: unpack(b"".join(each), len(each)) for name, each in by_name.items()}


def copy_examples(locked: LockedSet, source_id: int) -> None:
    """Copy the examples of another set's labels to the labels with the same keys."""
    target = LABELS.alias()
    copied = [column for column in EXAMPLES.columns if column.name != "label_id"]
    locked.connection.execute(
        insert(EXAMPLES).from_select(
            ["label_id", *(column.name for column in copied)],
            select(target.c.id, *copied)
            .join_from(EXAMPLES, LABELS, LABELS.c.id == EXAMPLES.c.label_id)
            .join(target, (target.c.key == LABELS.c.key) & (target.c.set_id == locked.id))
            .where(LABELS.c.set_id == source_id),
        )
    )


def _touch(locked: LockedSet, name: str) -> int:
    """Set the label to the set's new revision, so that readers reload it; return its id."""
    row: Row[Any] | None = locked.connection.execute(
        update(LabelRow)
        .where(LabelRow.set_id == locked.id, LabelRow.key == label_key(name))
        .values(revision=locked.revision, updated_at=locked.now)
        .returning(LabelRow.id)
    ).one_or_none()
    if row is None:
        raise LabelNotFound(f"label set {locked.name!r} has no label {name!r}")
    label_id: int = row.id
    return label_id


def _count(connection: Connection, label_id: int, video_space: str) -> int:
    return connection.execute(
        select(func.count()).where(
            ExampleRow.label_id == label_id, ExampleRow.video_space == video_space
        )
    ).scalar_one()
