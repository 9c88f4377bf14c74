"""Several stores on one database: each sees the writes of the others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from app.store import (
    DEFAULT_SET,
    LabelsNotReady,
    LabelStore,
    NewLabel,
    RevisionNotReached,
    SetNotFound,
)
from app.store.changes import MAX_EMBEDDED_IN_REQUEST
from app.store.tables import SETS, RemovalRow
from model import Label
from tests.support.word_vectors import GatedSource, WordSource

NAMES = ["riding a horse", "juggling", "playing chess"]


def named(*names: str) -> list[NewLabel]:
    return [NewLabel(Label(name)) for name in names]


def best(store: LabelStore, source: WordSource, shown: str) -> str:
    hits = store.snapshot(DEFAULT_SET).index.search(source.video_of(shown), 1)[0]
    return hits[0].name


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
def stores(url: str) -> Iterator[tuple[LabelStore, LabelStore]]:
    pair = (
        LabelStore.open(url, WordSource(), first_labels=NAMES),
        LabelStore.open(url, WordSource(), first_labels=NAMES),
    )
    yield pair
    for store in pair:
        store.close()


def test_a_store_sees_another_stores_writes_at_once(
    stores: tuple[LabelStore, LabelStore],
) -> None:
    one, other = stores
    other.snapshot(DEFAULT_SET)

    one.upsert(DEFAULT_SET, named("swimming"))
    one.remove(DEFAULT_SET, "juggling")

    snapshot = other.snapshot(DEFAULT_SET)
    assert snapshot.index.names == ("riding a horse", "playing chess", "swimming")
    assert snapshot.revision == 3


def test_a_label_removed_and_put_again_between_two_reads_is_found(
    stores: tuple[LabelStore, LabelStore],
) -> None:
    one, other = stores
    other.snapshot(DEFAULT_SET)

    one.remove(DEFAULT_SET, "juggling")
    one.upsert(DEFAULT_SET, named("juggling"))

    assert set(other.snapshot(DEFAULT_SET).index.names) == set(NAMES)


def test_a_reader_older_than_the_removals_reads_the_whole_set(
    stores: tuple[LabelStore, LabelStore],
) -> None:
    one, other = stores
    other.snapshot(DEFAULT_SET)
    one.remove(DEFAULT_SET, "juggling")
    # the state after many thousand more writes
    with one.engine.begin() as connection:
        connection.execute(delete(RemovalRow))
        connection.execute(update(SETS).values(complete_since=2))

    assert other.snapshot(DEFAULT_SET).index.names == ("riding a horse", "playing chess")


def test_a_database_restored_from_a_backup_replaces_the_index(
    stores: tuple[LabelStore, LabelStore], tmp_path: Path
) -> None:
    one, other = stores
    one.upsert("sports", named("swimming"))
    other.upsert("sports", named("rowing"))
    assert len(one.snapshot("sports").index) == 2

    with other.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM labels WHERE key = 'rowing'")
        connection.execute(update(SETS).where(SETS.c.name == "sports").values(revision=1))

    assert one.snapshot("sports").index.names == ("swimming",)


def test_a_deleted_set_is_gone_for_every_store(stores: tuple[LabelStore, LabelStore]) -> None:
    one, other = stores
    one.upsert("sports", named("swimming"))
    other.snapshot("sports")

    one.delete_set("sports")

    with pytest.raises(SetNotFound):
        other.snapshot("sports")


def test_a_minimum_revision_in_the_future_raises(stores: tuple[LabelStore, LabelStore]) -> None:
    one, other = stores
    with pytest.raises(RevisionNotReached):
        other.snapshot(DEFAULT_SET, min_revision=2)

    one.upsert(DEFAULT_SET, named("swimming"))

    assert other.snapshot(DEFAULT_SET, min_revision=2).revision == 2


def test_another_text_space_embeds_labels_once_and_keeps_the_old_vectors(url: str) -> None:
    old, new = WordSource(salt="old"), WordSource(salt="new")
    store = LabelStore.open(url, old, first_labels=NAMES)

    changed = LabelStore.open(url, new)
    again = LabelStore.open(url, WordSource(salt="new"))

    assert sorted(new.embedded) == sorted(NAMES)
    assert best(changed, new, "juggling") == "juggling"
    assert best(again, new, "juggling") == "juggling"
    assert best(store, old, "juggling") == "juggling"
    assert sorted(old.embedded) == sorted(NAMES)
    for each in (store, changed, again):
        each.close()


def test_a_label_written_in_another_text_space_is_embedded_on_read(url: str) -> None:
    old, new = WordSource(salt="old"), WordSource(salt="new")
    one = LabelStore.open(url, old, first_labels=NAMES)
    other = LabelStore.open(url, new)
    other.snapshot(DEFAULT_SET)
    new.embedded.clear()

    one.upsert(DEFAULT_SET, [*named("swimming"), NewLabel(Label("juggling", ("with balls",)))])

    assert best(other, new, "swimming") == "swimming"
    assert best(other, new, "juggling with balls") == "juggling"
    assert sorted(new.embedded) == ["juggling", "swimming"]
    one.close()
    other.close()


def test_many_labels_are_embedded_for_a_new_text_space_in_the_background(url: str) -> None:
    names = [f"label {number}" for number in range(MAX_EMBEDDED_IN_REQUEST + 1)]
    LabelStore.open(url, WordSource(salt="old"), first_labels=names).close()
    source = GatedSource()

    store = LabelStore.open(url, source)
    with pytest.raises(LabelsNotReady):
        store.snapshot(DEFAULT_SET)
    progress = store.reembedding
    source.gate.set()
    store.wait_until_embedded()

    assert progress is not None
    assert (progress.done, progress.total) == (0, len(names))
    assert best(store, source, "label 7") == "label 7"
    assert sorted(source.embedded) == sorted(names)
    assert store.reembedding is None
    store.close()
