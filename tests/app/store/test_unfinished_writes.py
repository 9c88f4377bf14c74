"""Writes that are told to stop, or whose set is deleted while they embed, store nothing."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from app.store import DEFAULT_SET, LabelStore, NewLabel, SetDeleted, SetNotFound, WriteStopped
from model import Label, Prototypes
from tests.support.word_vectors import WordSource

# more than one batch of the text model
MANY = [NewLabel(Label(f"action number {number}")) for number in range(2_000)]
ONE = MANY[:1]


class InterruptedSource(WordSource):
    """Calls `interrupt` once, in the next call of the text model."""

    def __init__(self) -> None:
        super().__init__()
        self.interrupt: Callable[[], object] | None = None

    def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
        interrupt, self.interrupt = self.interrupt, None
        if interrupt is not None:
            interrupt()
        return super().prototypes(labels)


@pytest.fixture
def source() -> InterruptedSource:
    return InterruptedSource()


@pytest.fixture
def store(migrated_url: str, source: InterruptedSource) -> Iterator[LabelStore]:
    store = LabelStore.open(migrated_url, source, first_labels=["juggling"])
    source.embedded.clear()
    yield store
    store.close()


def names(store: LabelStore, set_name: str = DEFAULT_SET) -> list[str]:
    return [stored.new.label.name for stored in store.export(set_name)]


def test_a_write_that_is_told_to_stop_embeds_no_further_batch(
    store: LabelStore, source: InterruptedSource
) -> None:
    with pytest.raises(WriteStopped):
        store.upsert(DEFAULT_SET, MANY, stop=lambda: bool(source.embedded))

    assert 0 < len(source.embedded) < len(MANY) / 2
    assert names(store) == ["juggling"]


def test_a_write_that_is_told_to_stop_while_it_stores_stores_nothing(
    store: LabelStore, source: InterruptedSource
) -> None:
    before = store.state(DEFAULT_SET)

    with pytest.raises(WriteStopped):
        store.replace(DEFAULT_SET, MANY, stop=lambda: len(source.embedded) == len(MANY))

    assert store.state(DEFAULT_SET) == before
    assert names(store) == ["juggling"]


@pytest.mark.parametrize("labels", [ONE, MANY], ids=["one label", "many labels"])
def test_a_set_that_is_deleted_during_a_write_does_not_come_back(
    store: LabelStore, source: InterruptedSource, labels: list[NewLabel]
) -> None:
    store.upsert("sports", [NewLabel(Label("rowing"))])
    source.embedded.clear()
    source.interrupt = lambda: store.delete_set("sports")

    with pytest.raises(SetDeleted, match="sports"):
        store.upsert("sports", labels)

    assert len(source.embedded) < len(MANY) / 2
    with pytest.raises(SetNotFound):
        store.state("sports")
    assert store.upsert("sports", ONE).state.size == 1


def test_a_set_that_is_deleted_and_made_again_does_not_get_the_older_labels(
    store: LabelStore, source: InterruptedSource
) -> None:
    store.upsert("sports", [NewLabel(Label("rowing"))])

    def make_again() -> None:
        store.delete_set("sports")
        store.upsert("sports", [NewLabel(Label("skiing"))])

    source.interrupt = make_again

    with pytest.raises(SetDeleted):
        store.upsert("sports", ONE)

    assert names(store, "sports") == ["skiing"]


def test_a_set_that_is_made_and_deleted_during_a_write_stays_deleted(
    store: LabelStore, source: InterruptedSource
) -> None:
    def make_and_delete() -> None:
        store.upsert("sports", [NewLabel(Label("skiing"))])
        store.delete_set("sports")

    source.interrupt = make_and_delete

    with pytest.raises(SetDeleted):
        store.upsert("sports", ONE)


def test_a_set_that_another_write_makes_first_gets_both_writes(
    store: LabelStore, source: InterruptedSource
) -> None:
    source.interrupt = lambda: store.upsert("sports", [NewLabel(Label("skiing"))])

    store.upsert("sports", ONE)

    assert names(store, "sports") == ["action number 0", "skiing"]


def test_an_export_has_the_labels_of_one_revision(store: LabelStore) -> None:
    store.upsert(DEFAULT_SET, MANY)
    store.upsert(DEFAULT_SET, [NewLabel(Label("zorbing"))])
    before = names(store)

    pages = store.export_pages(DEFAULT_SET)
    first = next(pages)
    store.remove(DEFAULT_SET, "zorbing")
    rest = list(pages)

    assert rest
    exported = [stored.new.label.name for page in (first, *rest) for stored in page.labels]
    assert exported == before
    assert {page.state.revision for page in (first, *rest)} == {first.state.revision}
    assert "zorbing" not in names(store)
