"""What a set's readers must do to come from one revision to the next, read from the database."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, CursorResult, Row, select

from app.store.examples import changed_examples
from app.store.reads import fits
from app.store.records import LabelsNotReady, PrototypeSource
from app.store.rows import stored_prototypes
from app.store.tables import LabelRow, PrototypeRow, RemovalRow
from model import Prototypes

# More labels than this without vectors are not worth a request's wait: seconds of text model.
MOST_EMBEDDED_IN_PASSING = 1_000


class Changes:
    """Labels written and removed after a revision (-1: the whole set); read `shown` first.

    Reading fills `thresholds` by key, `hidden` (names by key of what is disabled or gone), `keys`
    of all that was written, and `without_vectors`, rows of labels to be embedded.
    """

    def __init__(self, source: PrototypeSource, set_id: int, since: int) -> None:
        self._source = source
        self._set_id = set_id
        self._since = since
        self.thresholds: dict[str, float] = {}
        self.hidden: dict[str, str] = {}
        self.keys: set[str] = set()
        self.without_vectors: list[Row[Any]] = []

    def shown(self, connection: Connection) -> Iterator[tuple[str, Prototypes]]:
        """Names and vectors of labels to be found, one by one: all of them may be too many.

        Raises LabelsNotReady when too many lack vectors in this text space.
        """
        self._examples = changed_examples(
            connection, self._set_id, self._source.video_space, self._since
        )
        # closed also when it is left half read: PostgreSQL holds a cursor for it
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
        """The label's vectors, moved towards its examples if it has any."""
        if name not in self._examples:
            return prototypes
        return self._source.teach(prototypes, self._examples[name])

    def _lacks_vectors(self, row: Row[Any]) -> None:
        self.without_vectors.append(row)
        if len(self.without_vectors) > MOST_EMBEDDED_IN_PASSING:
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
