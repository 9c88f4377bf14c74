"""Labels to vectors in batches, and the change of a whole database to another text space."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, select

from app.store.database import alone, reading, writing
from app.store.reads import count_labels, count_without_vectors, fits
from app.store.records import NewLabel, PrototypeSource
from app.store.rows import label_of
from app.store.tables import LabelRow, PrototypeRow
from app.store.writes import keep_vectors
from model import KinolexError, Label, LabelError, Prototypes, UnknownWords

# Labels in one run of the text model: between two runs others get the processor.
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

# called with how many labels are done and how many there are
Report = Callable[[int, int], None]

_log = logging.getLogger(__name__)


def embed_labels(
    source: PrototypeSource, labels: Mapping[str, NewLabel], report: Report | None = None
) -> dict[str, Prototypes]:
    """Returns the prototypes of labels by key, computed in batches.

    Raises LabelError; where unknown words are the reason, it lists those of all batches.
    """
    embedded: dict[str, Prototypes] = {}
    refused: LabelError | None = None
    unknown: list[UnknownWords] = []
    # the longest text sets the time of a batch: batch names of similar length
    keys = sorted(labels, key=len)
    for start in range(0, len(keys), BATCH):
        batch = keys[start : start + BATCH]
        try:
            made = source.prototypes([labels[key].label for key in batch])
        except LabelError as error:
            if not error.unknown:
                raise
            refused = refused or error
            unknown += error.unknown
            continue
        embedded.update(zip(batch, made, strict=True))
        if report is not None:
            report(len(embedded), len(keys))
    if refused is not None:
        raise LabelError(str(refused), unknown)
    return embedded


@dataclass(frozen=True, slots=True)
class Progress:
    """Labels of all sets that are embedded for a text space, and how many there are."""

    done: int
    total: int


class Reembedding:
    """Gives every stored label vectors in a new text space, in a thread of its own.

    One process at a time works; the others wait for it and find nothing left to do. The vectors
    of other text spaces stay, for replicas that still run an older checkpoint.
    """

    def __init__(self, engine: Engine, source: PrototypeSource) -> None:
        self._engine = engine
        self._source = source
        self._stopped = threading.Event()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._refused: str | None = None

    @property
    def refused(self) -> str | None:
        """Why a label has no place in the text space, once the work has met one; else None."""
        return self._refused

    def progress(self) -> Progress | None:
        """How far the work is, whichever process does it; None while there is none.

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
        """Begins unless the work is going on."""
        with self._guard:
            if self._thread is not None and self._thread.is_alive():
                return
            self._thread = threading.Thread(target=self._work, name="reembedding", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends after the batch at hand; what is embedded stays stored."""
        self._stopped.set()
        self.wait()

    def wait(self) -> None:
        """Returns when the work is done or stopped."""
        with self._guard:
            thread = self._thread
        if thread is not None:
            thread.join()

    def run(self) -> None:
        """Embeds in the calling thread, until no label lacks vectors or until stopped."""
        after = 0
        while not self._stopped.is_set() and (batch := self._next_batch(after)):
            after = batch[-1][0]
            made = self._source.prototypes([label for _, _, label in batch])
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
            # the next request that finds labels without vectors starts it again
            _log.exception("re-embedding stopped")

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
