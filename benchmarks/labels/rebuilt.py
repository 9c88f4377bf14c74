"""A label set read from the database without the store, to compare the store with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Engine, select

from app.store.rows import stored_prototypes
from app.store.tables import LabelRow, LabelSetRow, PrototypeRow
from model import LabelIndex, Prototypes, Tagger, label_key


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """An index built from the database alone, and the labels' thresholds by name."""

    index: LabelIndex
    thresholds: Mapping[str, float | None]
    size: int

    @classmethod
    def of(cls, engine: Engine, set_name: str, dim: int) -> "Rebuilt":
        """Read a set in which every label is enabled and all vectors are of one text space."""
        thresholds: dict[str, float | None] = {}
        with engine.connect() as connection:
            chosen = select(LabelSetRow.id, LabelSetRow.size).where(LabelSetRow.name == set_name)
            set_id, size = connection.execute(chosen).one()
            index = LabelIndex.build(_labels(connection, set_id, thresholds), dim)
        return cls(index, thresholds, size)

    def differs(self, index: LabelIndex) -> str | None:
        """How a store's index differs, or None: names, texts, vectors and thresholds."""
        held, expected = _rows(index), _rows(self.index)
        if held.keys() != expected.keys():
            return f"{len(held.keys() ^ expected.keys())} labels are not in both"
        if wrong := [name for name in held if held[name] != expected[name]]:
            return f"{len(wrong)} labels have other vectors, such as {wrong[0]!r}"
        if index.thresholds != _by_key(self.thresholds):
            return "the thresholds differ"
        if self.size != len(expected):
            return f"the set says that it has {self.size} labels of {len(expected)}"
        return None

    def tags(self, tagger: Tagger, embedding: npt.NDArray[np.float32]) -> dict[str, float]:
        """The expected answer for a video with this (1, dim) embedding: similarities by label."""
        index = self.index.with_thresholds(_by_key(self.thresholds))
        tags, _ = tagger.tag_embedding(embedding[0], index, top_k=max(1, len(index)))
        return {tag.label: tag.similarity for tag in tags}


def _labels(
    connection: Connection, set_id: int, thresholds: dict[str, float | None]
) -> Iterator[tuple[str, Prototypes]]:
    rows = connection.execute(
        select(
            LabelRow.name,
            LabelRow.threshold,
            PrototypeRow.texts,
            PrototypeRow.vectors,
            PrototypeRow.background,
        )
        .outerjoin(PrototypeRow, PrototypeRow.label_id == LabelRow.id)
        .where(LabelRow.set_id == set_id)
        .order_by(LabelRow.id)
    )
    for row in rows:
        thresholds[row.name] = row.threshold
        # the index then lacks a label without vectors
        if row.vectors is not None:
            yield row.name, stored_prototypes(row.texts, row.vectors, row.background)


def _by_key(thresholds: Mapping[str, float | None]) -> dict[str, float]:
    return {label_key(name): value for name, value in thresholds.items() if value is not None}


def _rows(index: LabelIndex) -> dict[str, tuple[tuple[str, ...], bytes, bytes]]:
    """Texts, rows and background of each label in the index, from all of its blocks."""
    found = {}
    for block, present in (
        (index.base, ~index.gone),
        (index.delta, np.ones(len(index.delta), np.bool_)),
    ):
        for at in np.flatnonzero(present).tolist():
            rows = slice(block.starts[at], block.starts[at + 1])
            found[block.names[at]] = (
                block.texts[rows],
                block.rows[rows].tobytes(),
                block.background[rows].tobytes(),
            )
    return found
