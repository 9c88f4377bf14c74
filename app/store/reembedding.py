"""A background thread that embeds all stored labels for a new text space."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, select
from structlog.typing import FilteringBoundLogger

from app.store.database import alone, reading, writing
from app.store.low_priority import Embed
from app.store.reads import count_labels, count_without_vectors, fits
from app.store.records import PrototypeSource
from app.store.rows import label_of
from app.store.tables import LabelRow, PrototypeRow
from app.store.writes import keep_vectors
from model import KinolexError, Label, LabelError

# Labels per call of the text model; other threads can run between two calls.
BATCH = 512

_EMBEDDED_COLUMNS = (
    LabelRow.id,
    LabelRow.text_hash,
    LabelRow.name,
    LabelRow.prompts,
    LabelRow.aliases,
    LabelRow.description,
    LabelRow.threshold,
)


@dataclass(frozen=True, slots=True)
class Progress:
    """Number of labels, over all sets, that are embedded for a text space, and their total."""

    done: int
    total: int


class Reembedding:
    """Embeds every stored label that has no vectors in the source's text space, in a thread.

    One process at a time does the work; the others wait and then find all labels embedded. The
    vectors of other text spaces are kept, for replicas that run an older checkpoint.
    """

    def __init__(
        self, engine: Engine, source: PrototypeSource, embed: Embed, log: FilteringBoundLogger
    ) -> None:
        self._log = log
        self._engine = engine
        self._source = source
        self._embed = embed
        self._stopped = threading.Event()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._refused: str | None = None

    @property
    def refused(self) -> str | None:
        """The error of a label that the last run could not embed; None if there was none."""
        return self._refused

    def progress(self) -> Progress | None:
        """Return the progress of all processes together; None when the thread is not running.

        Blocks on the database.
        """
        if self._thread is None or not self._thread.is_alive():
            return None
        with reading(self._engine) as connection:
            total = count_labels(connection)
            return Progress(
                total - count_without_vectors(connection, self._source.text_space), total
            )

    def start(self) -> None:
        """Start the thread unless it is running."""
        with self._guard:
            if self._thread is not None and self._thread.is_alive():
                return
            self._thread = threading.Thread(target=self._work, name="reembedding", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop after the current batch; labels embedded so far stay stored."""
        self._stopped.set()
        self.wait()

    def wait(self) -> None:
        """Wait until the work is finished or stopped."""
        with self._guard:
            thread = self._thread
        if thread is not None:
            thread.join()

    def run(self) -> None:
        """Embed in the calling thread, until all labels have vectors or until stopped."""
        after = 0
        while not self._stopped.is_set() and (batch := self._next_batch(after)):
            after = batch[-1][0]
            made = self._embed([label for _, _, label in batch])
            with writing(self._engine) as connection:
                keep_vectors(
                    connection,
                    self._source.text_space,
                    [
                        (label_id, text_hash, prototypes)
                        for (label_id, text_hash, _), prototypes in zip(batch, made, strict=True)
                    ],
                )

    def _work(self) -> None:
        try:
            with alone(self._engine, "reembedding"):
                self.run()
            self._refused = None
        except KinolexError as error:
            self._refused = str(error) if isinstance(error, LabelError) else None
            # the next request that finds labels without vectors starts the work again
            self._log.exception("reembedding_stopped")

    def _next_batch(self, after: int) -> Sequence[tuple[int, str, Label]]:
        statement = (
            select(*_EMBEDDED_COLUMNS)
            .outerjoin(PrototypeRow, fits(self._source.text_space))
            .where(LabelRow.id > after, PrototypeRow.label_id.is_(None))
            .order_by(LabelRow.id)
            .limit(BATCH)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
        return [(row.id, row.text_hash, label_of(row)) for row in rows]
