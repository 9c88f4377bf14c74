"""The label store: the truth about labels, for every thread, process and host that shares it."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Self

from sqlalchemy import Engine

from app.store.change_listener import Following
from app.store.changes import MOST_EMBEDDED_IN_PASSING
from app.store.database import alone, migrate, open_engine, reading, writing
from app.store.embedding import Progress, Reembedding, Report, embed_labels
from app.store.examples import copy_examples, examples_of, put_examples, remove_examples
from app.store.index_cache import IndexCache
from app.store.low_priority import BackgroundEmbedding
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
    SetFull,
    SetNotFound,
    SetProtected,
    SetState,
    StoredExample,
    StoredLabel,
    Taught,
    Written,
)
from app.store.rows import set_state
from app.store.snapshots import Snapshots
from app.store.writes import (
    PrototypesNeeded,
    copy_labels,
    delete_set,
    finish,
    hashes_of_stored,
    lock_for_copy,
    lock_set,
    put_labels,
    remove_all,
    remove_labels,
    remove_others,
)
from model import Label, LabelError, Prototypes, clean_name, label_key

_PAGE_OF_EXPORT = 2_000

_log = logging.getLogger(__name__)


class LabelStore:
    """Labels in a database, with their vectors; every method may be called from any thread.

    Methods block on the disk and on the text model: call them from a worker thread. All of them
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
    ) -> None:
        self._engine = engine
        self._source = BackgroundEmbedding(source, is_busy)
        self._max_labels = max_labels
        cache = None if cache_folder is None else IndexCache(cache_folder, self._source)
        self._snapshots = Snapshots(engine, self._source, cache)
        self._following = Following(engine, self._snapshots)
        self._reembedding = Reembedding(engine, self._source)

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
    ) -> Self:
        """Opens the database, makes or migrates its tables, and fills a new one.

        `first_labels` (our everyday actions unless given) become the default set when there is
        none yet. Labels without vectors in the source's text space get them: a few at once, many
        in the background, none if not `complete_vectors`. The indexes of large sets are kept in
        `cache_folder`, for a quick start. While `is_busy`, from any thread, says that others want
        the processors, many labels are embedded on half of them. Raises StoreMismatch when the URL
        or the schema is not ours.
        """
        engine = open_engine(database_url)
        store = cls(
            engine, source, max_labels=max_labels, cache_folder=cache_folder, is_busy=is_busy
        )
        try:
            with alone(engine, "start"):
                migrate(engine)
                if not store._has_default_set():
                    names = everyday_actions() if first_labels is None else first_labels
                    store._fill([NewLabel(Label(name)) for name in names])
                if complete_vectors:
                    store._complete_vectors()
        except BaseException:  # whatever it was, the connections are closed before it goes on
            store.close()
            raise
        return store

    def close(self) -> None:
        """Ends the background work and the connections."""
        self._following.stop()
        self._reembedding.stop()
        self._snapshots.close()
        self._source.close()
        self._engine.dispose()

    def follow(self) -> None:
        """Keeps the indexes in memory up to date before anybody asks, in a thread of its own."""
        self._following.start()

    @property
    def engine(self) -> Engine:
        """The database behind the store, for checks from outside."""
        return self._engine

    @property
    def reembedding(self) -> Progress | None:
        """How far the change to this checkpoint's text space is; None while there is none.

        Blocks on the database.
        """
        return self._reembedding.progress()

    def wait_until_embedded(self) -> None:
        """Returns when the change to this checkpoint's text space is over, at once if none is."""
        self._reembedding.wait()

    def state(self, set_name: str) -> SetState:
        """A set's revision and size. Raises SetNotFound."""
        with reading(self._engine) as connection:
            return set_state(set_row(connection, set_name))

    def sets(self, *, after: str = "", limit: int = 100) -> list[SetState]:
        """Sets by name, from behind `after`."""
        with reading(self._engine) as connection:
            return list_sets(connection, after, limit)

    def get(self, set_name: str, name: str) -> tuple[SetState, StoredLabel]:
        """One label by any spelling of its name. Raises SetNotFound or LabelNotFound."""
        with reading(self._engine) as connection:
            return one_label(connection, set_name, name)

    def page(
        self, set_name: str, *, after: str = "", limit: int = 100, query: str = ""
    ) -> LabelPage:
        """Labels that hold `query`, by key from behind `after`. Raises SetNotFound."""
        with reading(self._engine) as connection:
            return page_of_labels(connection, set_name, after=after, limit=limit, query=query)

    def export(self, set_name: str) -> Iterator[StoredLabel]:
        """Every label of a set by key, read page by page. Raises SetNotFound at the first."""
        after: str | None = ""
        while after is not None:
            page = self.page(set_name, after=after, limit=_PAGE_OF_EXPORT)
            yield from page.labels
            after = page.last_key

    def snapshot(self, set_name: str, *, min_revision: int = 0) -> LabelSnapshot:
        """The set as its newest revision has it, ready to be searched.

        Raises SetNotFound, LabelsNotReady while a new text space is being filled, LabelError when
        that space has no place for a stored label, and RevisionNotReached when the set is not yet
        at `min_revision`.
        """
        try:
            snapshot = self._snapshots.get(set_name)
        except LabelsNotReady:
            # of the work before this one, which may end with another answer at any time
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
    ) -> Written:
        """Creates or replaces labels, and the set if need be: all of them, or none.

        Raises LabelError, ConditionFailed or SetFull.
        """
        return self._put(set_name, labels, condition, report, replace=False)

    def replace(
        self,
        set_name: str,
        labels: Sequence[NewLabel],
        *,
        condition: Condition = ALWAYS,
        report: Report | None = None,
    ) -> Written:
        """Makes the set hold these labels and no others. Raises like `upsert`."""
        return self._put(set_name, labels, condition, report, replace=True)

    def remove(self, set_name: str, name: str, *, condition: Condition = ALWAYS) -> Written:
        """Removes one label. Raises SetNotFound, LabelNotFound or ConditionFailed."""
        key = label_key(name)
        with writing(self._engine) as connection:
            locked = lock_set(connection, set_name, condition)
            if not remove_labels(locked, [key]):
                raise LabelNotFound(f"label set {set_name!r} has no label {name!r}")
            return Written(finish(locked, -1), removed=1)

    def examples(self, set_name: str, name: str) -> tuple[SetState, list[StoredExample]]:
        """What a label was taught by, oldest first. Raises SetNotFound or LabelNotFound."""
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
        """Adds examples of this checkpoint to a label; one that it has already changes nothing.

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
        """Removes the example with this digest, or all. Raises like `teach`, or ExampleNotFound."""
        with writing(self._engine) as connection:
            locked = lock_set(connection, set_name, condition)
            removed, left = remove_examples(locked, name, sha256, self._source.video_space)
            return Taught(finish(locked, 0), 0, removed, left)

    def delete_set(self, set_name: str, *, condition: Condition = ALWAYS) -> Written:
        """Deletes a set with its labels. Raises SetNotFound, SetProtected or ConditionFailed."""
        if set_name == DEFAULT_SET:
            raise SetProtected("the default set cannot be deleted; replace it with an empty list")
        with writing(self._engine) as connection:
            return delete_set(lock_set(connection, set_name, condition))

    def copy_set(
        self, source_name: str, set_name: str, *, condition: Condition = ALWAYS
    ) -> Written:
        """Makes `set_name` hold what another set holds, and nothing else.

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
        """The default set, without the labels that a text model of whole words does not know."""
        try:
            self.upsert(DEFAULT_SET, first)
        except LabelError:
            known = [new for new in first if self._can_embed(new.label)]
            _log.warning(
                "%d of %d first labels have no vector", len(first) - len(known), len(first)
            )
            self.upsert(DEFAULT_SET, known)

    def _can_embed(self, label: Label) -> bool:
        try:
            self._source.prototypes([label])
        except LabelError:
            return False
        return True

    def _put(
        self,
        set_name: str,
        labels: Sequence[NewLabel],
        condition: Condition,
        report: Report | None,
        *,
        replace: bool,
    ) -> Written:
        by_key = _by_key(labels)
        if len(by_key) > self._max_labels:
            raise SetFull(f"a label set may hold {self._max_labels} labels")
        needed = self._without_vectors(set_name, by_key, condition)
        prototypes: dict[str, Prototypes] = {}
        while True:
            to_embed = {key: by_key[key] for key in needed}
            prototypes |= embed_labels(self._source, to_embed, report)
            try:
                with writing(self._engine) as connection:
                    locked = lock_set(connection, set_name, condition, create=True)
                    removed = remove_others(locked, by_key) if replace else 0
                    created = put_labels(locked, by_key, prototypes, self._source.text_space)
                    if locked.size + created - removed > self._max_labels:
                        raise SetFull(f"a label set may hold {self._max_labels} labels")
                    state = finish(locked, created - removed)
            except PrototypesNeeded as error:
                needed = error.keys
                continue
            embedded = tuple((by_key[key].label.name, made) for key, made in prototypes.items())
            return Written(state, created, len(by_key) - created, removed, embedded)

    def _without_vectors(
        self, set_name: str, labels: Mapping[str, NewLabel], condition: Condition
    ) -> Iterable[str]:
        with reading(self._engine) as connection:
            try:
                row = set_row(connection, set_name)
            except SetNotFound:
                condition.check(set_name, None)
                return labels
            # said again under the lock; here it spares the text model's work
            condition.check(set_name, row.revision)
            stored = hashes_of_stored(connection, row.id, list(labels), self._source.text_space)
        return [key for key, new in labels.items() if stored.get(key) != new.text_hash]

    def _has_default_set(self) -> bool:
        try:
            self.state(DEFAULT_SET)
        except SetNotFound:
            return False
        return True

    def _complete_vectors(self) -> None:
        with reading(self._engine) as connection:
            missing = count_without_vectors(connection, self._source.text_space)
        if missing > MOST_EMBEDDED_IN_PASSING:
            self._reembedding.start()
        elif missing:
            self._reembedding.run()


def everyday_actions() -> list[str]:
    """The labels that a new installation starts with."""
    lines = files("app").joinpath("default_labels.txt").read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _by_key(labels: Sequence[NewLabel]) -> dict[str, NewLabel]:
    by_key: dict[str, NewLabel] = {}
    for new in labels:
        key = new.key
        if key in by_key:
            raise LabelError(f"{by_key[key].label.name!r} and {new.label.name!r} are one label")
        by_key[key] = replace(new, label=replace(new.label, name=clean_name(new.label.name)))
    return by_key
