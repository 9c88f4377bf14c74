"""Reads the labels that were written and removed after a revision."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, CursorResult, Row, select

from app.store.examples import changed_examples
from app.store.reads import fits
from app.store.records import LabelsNotReady, PrototypeSource
from app.store.rows import stored_prototypes
from app.store.tables import LabelRow, PrototypeRow, RemovalRow
from model import Prototypes

# Maximum number of labels that a request embeds while it waits: this many take seconds.
MAX_EMBEDDED_IN_REQUEST = 1_000


class Changes:
    """Labels written and removed after the revision `since` (-1: the whole set).

    Iterate over `searchable` to the end first: it fills the other fields. `thresholds` has the
    minimum scores by label key, `hidden` the names by key of disabled and removed labels, `keys`
    the keys of all written labels, `without_vectors` the rows of labels that must be embedded.
    """

    def __init__(self, source: PrototypeSource, set_id: int, since: int) -> None:
        self._source = source
        self._set_id = set_id
        self._since = since
        self.thresholds: dict[str, float] = {}
        self.hidden: dict[str, str] = {}
        self.keys: set[str] = set()
        self.without_vectors: list[Row[Any]] = []

    def searchable(self, connection: Connection) -> Iterator[tuple[str, Prototypes]]:
        """Yield names and prototypes of enabled labels, one by one to limit memory.

        Raises LabelsNotReady when more than MAX_EMBEDDED_IN_REQUEST labels lack vectors.
        """
        self._examples = changed_examples(
            connection, self._set_id, self._source.video_space, self._since
        )
        # close the result even if it is not read to the end: PostgreSQL keeps a cursor open for it
        with _rows_after(connection, self._set_id, self._source.text_space, self._since) as rows:
            for row in rows:
                self.keys.add(row.key)
                if not row.enabled:
                    self.hidden[row.key] = row.name
                    continue
                if row.threshold is not None:
                    self.thresholds[row.key] = row.threshold
                if row.vectors is None:
                    self._lacks_vectors(row)
                    continue
                made = stored_prototypes(row.vector_texts, row.vectors, row.background)
                yield row.name, self.taught(row.name, made)
        if self._since >= 0:
            removals = select(RemovalRow.key, RemovalRow.name).where(
                RemovalRow.set_id == self._set_id, RemovalRow.revision > self._since
            )
            self.hidden.update((row.key, row.name) for row in connection.execute(removals))

    def taught(self, name: str, prototypes: Prototypes) -> Prototypes:
        """Return a label's prototypes, moved towards its examples if it has any.

        Call it after `searchable`, which reads the examples.
        """
        if name not in self._examples:
            return prototypes
        return self._source.teach(prototypes, self._examples[name])

    def _lacks_vectors(self, row: Row[Any]) -> None:
        self.without_vectors.append(row)
        if len(self.without_vectors) > MAX_EMBEDDED_IN_REQUEST:
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
