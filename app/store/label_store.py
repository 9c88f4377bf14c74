"""The label store: labels and label sets in a database that threads, processes and hosts share."""

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Self

from sqlalchemy import Engine
from structlog.typing import FilteringBoundLogger

from app.observe.logger import make_logger
from app.store.change_listener import ChangeListener
from app.store.changes import MAX_EMBEDDED_IN_REQUEST
from app.store.database import (
    alone,
    close_engine,
    keep_file,
    migrate,
    open_engine,
    reading,
    writing,
)
from app.store.examples import copy_examples, examples_of, put_examples, remove_examples
from app.store.index_cache import IndexCache
from app.store.low_priority import LowPriorityEmbedding
from app.store.put import Report, Stop, put
from app.store.reads import count_without_vectors, list_sets, one_label, page_of_labels, set_row
from app.store.records import (
    ALWAYS,
    DEFAULT_SET,
    Condition,
    Example,
    LabelNotFound,
    LabelPage,
    LabelSnapshot,
    LabelsNotReady,
    NewLabel,
    PrototypeSource,
    RevisionNotReached,
    SetNotFound,
    SetProtected,
    SetState,
    StoredExample,
    StoredLabel,
    Taught,
    Written,
)
from app.store.reembedding import Progress, Reembedding
from app.store.rows import set_state
from app.store.snapshots import Snapshots
from app.store.writes import (
    copy_labels,
    delete_set,
    finish,
    lock_for_copy,
    lock_set,
    remove_all,
    remove_labels,
)
from model import Label, LabelError, label_key

_EXPORT_PAGE = 2_000


class LabelStore:
    """Labels in a database, with their vectors; thread-safe.

    Methods block on the disk and on the text model: call them from a worker thread. All methods
    raise StoreUnavailable when the database does not answer.
    """

    def __init__(
        self,
        engine: Engine,
        source: PrototypeSource,
        *,
        max_labels: int,
        cache_folder: Path | None = None,
        is_busy: Callable[[], bool] = lambda: False,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._log = log or make_logger("warning", "auto")
        self._engine = engine
        self._source = source
        self._embedding = LowPriorityEmbedding(source.prototypes, is_busy)
        self._max_labels = max_labels
        cache = None if cache_folder is None else IndexCache(cache_folder, source, self._log)
        self._snapshots = Snapshots(engine, source, self._embedding.embed, self._log, cache)
        self._listener = ChangeListener(engine, self._snapshots, self._log)
        self._reembedding = Reembedding(engine, source, self._embedding.embed, self._log)

    @classmethod
    def open(
        cls,
        database_url: str,
        source: PrototypeSource,
        *,
        first_labels: Sequence[str] | None = None,
        max_labels: int = 1_000_000,
        complete_vectors: bool = True,
        cache_folder: Path | None = None,
        is_busy: Callable[[], bool] = lambda: False,
        log: FilteringBoundLogger | None = None,
    ) -> Self:
        """Open the database, create or migrate its tables, and create the default set.

        A new default set contains `first_labels`, or `everyday_actions()`. With `complete_vectors`,
        labels without vectors in the source's text space are embedded: up to
        MAX_EMBEDDED_IN_REQUEST before the store is returned, more in the background. Indexes of
        large sets are saved in `cache_folder`, for a faster start. While `is_busy()`, which is
        called from any thread, large batches are embedded on half of the cores. `log` gets what the
        background threads report; without it, warnings go to stderr.

        Raises StoreMismatch when the URL is not supported or the schema is unknown.
        """
        engine = open_engine(database_url)
        store = cls(
            engine,
            source,
            max_labels=max_labels,
            cache_folder=cache_folder,
            is_busy=is_busy,
            log=log,
        )
        try:
            with alone(engine, "start"):
                migrate(engine)
                keep_file(engine)
                if not store._has_default_set():
                    names = everyday_actions() if first_labels is None else first_labels
                    store._fill([NewLabel(Label(name)) for name in names])
                if complete_vectors:
                    store._complete_vectors()
        except BaseException:  # close the connections first, also when interrupted
            store.close()
            raise
        return store

    def close(self) -> None:
        """Stop the background threads and close the connections."""
        self._listener.stop()
        self._reembedding.stop()
        self._snapshots.close()
        self._embedding.close()
        close_engine(self._engine)

    def follow(self, *, poll_seconds: float = 1.0) -> None:
        """Start a thread that updates the indexes in memory when another process writes.

        `poll_seconds` is how often revisions are compared where the database sends no notification.
        """
        self._listener.start(poll_seconds)

    @property
    def engine(self) -> Engine:
        """The database engine, for checks and maintenance."""
        return self._engine

    @property
    def reembedding(self) -> Progress | None:
        """Progress of embedding labels for this checkpoint's text space; None if not running.

        Blocks on the database.
        """
        return self._reembedding.progress()

    def wait_until_embedded(self) -> None:
        """Wait until labels are embedded for this checkpoint's text space."""
        self._reembedding.wait()

    def state(self, set_name: str) -> SetState:
        """Return a set's revision and size. Raises SetNotFound."""
        with reading(self._engine) as connection:
            return set_state(set_row(connection, set_name))

    def sets(
        self, *, among: Collection[str] | None = None, after: str = "", limit: int = 100
    ) -> list[SetState]:
        """Return up to `limit` sets with names after `after`, sorted by name.

        `among`: only sets with these names.
        """
        with reading(self._engine) as connection:
            return list_sets(connection, after, limit, among)

    def get(self, set_name: str, name: str) -> tuple[SetState, StoredLabel]:
        """Return a label by any spelling of its name. Raises SetNotFound or LabelNotFound."""
        with reading(self._engine) as connection:
            return one_label(connection, set_name, name)

    def page(
        self, set_name: str, *, after: str = "", limit: int = 100, query: str = ""
    ) -> LabelPage:
        """Return labels whose texts contain `query`, with keys after `after`, sorted by key.

        Raises SetNotFound.
        """
        with reading(self._engine) as connection:
            return page_of_labels(connection, set_name, after=after, limit=limit, query=query)

    def export(self, set_name: str) -> Iterator[StoredLabel]:
        """Yield all labels of a set at one revision, sorted by key. Raises like `export_pages`."""
        for page in self.export_pages(set_name):
            yield from page.labels

    def export_pages(self, set_name: str) -> Generator[LabelPage]:
        """Yield all labels of a set at one revision, in one or more pages, sorted by key.

        A transaction is open until the last page. Raises SetNotFound on the first iteration.
        """
        after: str | None = ""
        with reading(self._engine) as connection:
            while after is not None:
                page = page_of_labels(
                    connection, set_name, after=after, limit=_EXPORT_PAGE, query=""
                )
                yield page
                after = page.last_key

    def snapshot(self, set_name: str, *, min_revision: int = 0) -> LabelSnapshot:
        """Return the set at its newest revision, ready to be searched.

        Raises SetNotFound; LabelsNotReady while labels are embedded for a new text space;
        LabelError when a stored label cannot be embedded in that space; and RevisionNotReached
        when the set is not at `min_revision` yet.
        """
        try:
            snapshot = self._snapshots.get(set_name)
        except LabelsNotReady:
            # read before the start below, after which it may change at any time
            refused = self._reembedding.refused
            self._reembedding.start()
            if refused is not None:
                raise LabelError(refused) from None
            if (progress := self.reembedding) is None:
                raise
            raise LabelsNotReady(
                f"{progress.done:,} of {progress.total:,} labels are embedded for this checkpoint"
            ) from None
        if snapshot.revision < min_revision:
            raise RevisionNotReached(
                f"label set {set_name!r} is at revision {snapshot.revision}, not {min_revision}"
            )
        return snapshot

    def upsert(
        self,
        set_name: str,
        labels: Sequence[NewLabel],
        *,
        condition: Condition = ALWAYS,
        report: Report | None = None,
        stop: Stop | None = None,
    ) -> Written:
        """Create or replace labels, and create the set if needed: all labels, or none.

        `report` is called with the number of labels embedded so far and their total. Raises
        LabelError, ConditionFailed, SetFull, SetDeleted when the set is deleted meanwhile, and
        WriteStopped soon after `stop` returns True; both are called from this thread.
        """
        return self._put(set_name, labels, condition, report, stop, remove_rest=False)

    def replace(
        self,
        set_name: str,
        labels: Sequence[NewLabel],
        *,
        condition: Condition = ALWAYS,
        report: Report | None = None,
        stop: Stop | None = None,
    ) -> Written:
        """Replace the set's contents by these labels. Raises like `upsert`."""
        return self._put(set_name, labels, condition, report, stop, remove_rest=True)

    def remove(self, set_name: str, name: str, *, condition: Condition = ALWAYS) -> Written:
        """Remove one label. Raises SetNotFound, LabelNotFound or ConditionFailed."""
        key = label_key(name)
        with writing(self._engine) as connection:
            locked = lock_set(connection, set_name, condition)
            if not remove_labels(locked, [key]):
                raise LabelNotFound(f"label set {set_name!r} has no label {name!r}")
            return Written(finish(locked, -1), removed=1)

    def examples(self, set_name: str, name: str) -> tuple[SetState, list[StoredExample]]:
        """Return a label's examples, oldest first. Raises SetNotFound or LabelNotFound."""
        with reading(self._engine) as connection:
            return examples_of(connection, set_name, name)

    def teach(
        self,
        set_name: str,
        name: str,
        examples: Sequence[Example],
        *,
        condition: Condition = ALWAYS,
    ) -> Taught:
        """Add examples, embedded by this checkpoint, to a label; ignore those it already has.

        Raises SetNotFound, LabelNotFound, TooManyExamples or ConditionFailed.
        """
        with writing(self._engine) as connection:
            locked = lock_set(connection, set_name, condition)
            added, total = put_examples(locked, name, examples, self._source.video_space)
            return Taught(finish(locked, 0), added, 0, total)

    def forget(
        self,
        set_name: str,
        name: str,
        sha256: str | None = None,
        *,
        condition: Condition = ALWAYS,
    ) -> Taught:
        """Remove the example with this digest, or all. Raises like `teach` and ExampleNotFound."""
        with writing(self._engine) as connection:
            locked = lock_set(connection, set_name, condition)
            removed, left = remove_examples(locked, name, sha256, self._source.video_space)
            return Taught(finish(locked, 0), 0, removed, left)

    def delete_set(self, set_name: str, *, condition: Condition = ALWAYS) -> Written:
        """Delete a set with its labels. Raises SetNotFound, SetProtected or ConditionFailed."""
        if set_name == DEFAULT_SET:
            raise SetProtected("the default set cannot be deleted; replace it with an empty list")
        with writing(self._engine) as connection:
            return delete_set(lock_set(connection, set_name, condition))

    def copy_set(
        self, source_name: str, set_name: str, *, condition: Condition = ALWAYS
    ) -> Written:
        """Replace the contents of `set_name` by a copy of another set.

        Raises SetNotFound for the source, and ConditionFailed.
        """
        with writing(self._engine) as connection:
            source, target = lock_for_copy(connection, source_name, set_name, condition)
            removed = remove_all(target)
            created = copy_labels(target, source)
            copy_examples(target, source)
            state = finish(target, created - removed, read_anew=True)
        return Written(state, created=created, removed=removed)

    def _fill(self, first: Sequence[NewLabel]) -> None:
        """Create the default set, without the labels that the text model cannot embed."""
        try:
            self.upsert(DEFAULT_SET, first)
        except LabelError:
            known = [new for new in first if self._can_embed(new.label)]
            self._log.warning("first_labels_left_out", known=len(known), labels=len(first))
            self.upsert(DEFAULT_SET, known)

    def _can_embed(self, label: Label) -> bool:
        try:
            self._embedding.embed([label])
        except LabelError:
            return False
        return True

    def _put(
        self,
        set_name: str,
        labels: Sequence[NewLabel],
        condition: Condition,
        report: Report | None,
        stop: Stop | None,
        *,
        remove_rest: bool,
    ) -> Written:
        return put(
            self._engine,
            set_name,
            labels,
            embed=self._embedding.embed,
            text_space=self._source.text_space,
            max_labels=self._max_labels,
            condition=condition,
            report=report,
            stop=stop,
            remove_rest=remove_rest,
        )

    def _has_default_set(self) -> bool:
        try:
            self.state(DEFAULT_SET)
        except SetNotFound:
            return False
        return True

    def _complete_vectors(self) -> None:
        with reading(self._engine) as connection:
            missing = count_without_vectors(connection, self._source.text_space)
        if missing > MAX_EMBEDDED_IN_REQUEST:
            self._reembedding.start()
        elif missing:
            self._reembedding.run()


def everyday_actions() -> list[str]:
    """Return the default labels of a new installation."""
    lines = files("app").joinpath("default_labels.txt").read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
