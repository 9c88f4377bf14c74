"""The label store: writes are atomic, durable, counted, and found by the next search."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from app.store import (
    DEFAULT_SET,
    Condition,
    ConditionFailed,
    LabelNotFound,
    LabelStore,
    NewLabel,
    SetFull,
    SetNotFound,
    SetProtected,
    Written,
)
from model import Label, LabelError, Prototypes
from tests.support.word_vectors import WordSource


def named(*names: str) -> list[NewLabel]:
    return [NewLabel(Label(name)) for name in names]


def names_in(store: LabelStore, set_name: str = DEFAULT_SET) -> list[str]:
    return [stored.new.label.name for stored in store.export(set_name)]


def best(store: LabelStore, source: WordSource, shown: str, set_name: str = DEFAULT_SET) -> str:
    hits = store.snapshot(set_name).index.search(source.video_of(shown), 1)[0]
    return hits[0].name if hits else ""


@pytest.fixture
def url(migrated_url: str) -> str:
    return migrated_url


@pytest.fixture
def source() -> WordSource:
    return WordSource()


@pytest.fixture
def store(url: str, source: WordSource) -> Iterator[LabelStore]:
    store = LabelStore.open(url, source, first_labels=["riding a horse", "juggling"])
    yield store
    store.close()


def test_a_new_store_holds_the_first_labels_at_revision_one(store: LabelStore) -> None:
    assert names_in(store) == ["juggling", "riding a horse"]
    state = store.state(DEFAULT_SET)
    assert (state.revision, state.size) == (1, 2)


def test_a_put_label_is_found_by_the_next_search(store: LabelStore, source: WordSource) -> None:
    assert best(store, source, "playing chess") != "playing chess"

    written = store.upsert(DEFAULT_SET, named("playing chess"))

    assert best(store, source, "playing chess") == "playing chess"
    assert (written.created, written.updated, written.state.revision) == (1, 0, 2)
    assert store.snapshot(DEFAULT_SET).revision == 2


def test_a_removed_label_is_not_found(store: LabelStore, source: WordSource) -> None:
    store.snapshot(DEFAULT_SET)

    store.remove(DEFAULT_SET, "  JUGGLING ")

    assert store.snapshot(DEFAULT_SET).index.names == ("riding a horse",)
    with pytest.raises(LabelNotFound):
        store.get(DEFAULT_SET, "juggling")


def test_a_snapshot_does_not_change_after_later_writes(store: LabelStore) -> None:
    older = store.snapshot(DEFAULT_SET)

    store.upsert(DEFAULT_SET, named("playing chess"))
    store.remove(DEFAULT_SET, "juggling")
    store.snapshot(DEFAULT_SET)

    assert older.index.names == ("riding a horse", "juggling")
    assert older.revision == 1


def test_one_spelling_replaces_another(store: LabelStore) -> None:
    written = store.upsert(DEFAULT_SET, named("Riding  A Horse"))

    assert (written.created, written.updated) == (0, 1)
    assert names_in(store) == ["juggling", "Riding A Horse"]
    assert sorted(store.snapshot(DEFAULT_SET).index.names) == ["Riding A Horse", "juggling"]


def test_all_fields_of_a_label_survive_a_restart(store: LabelStore, url: str) -> None:
    new = NewLabel(
        Label("paddling/canoeing", ("in a canoe",), ("rowing",), "with a paddle", 0.25),
        language="en-GB",
        enabled=False,
        metadata={"team": {"id": 7, "tags": ["ü", None, 1.5]}},
    )

    store.upsert(DEFAULT_SET, [new])
    store.close()
    again = LabelStore.open(url, WordSource())

    state, stored = again.get(DEFAULT_SET, "Paddling/Canoeing")
    again.close()
    assert stored.new == new
    assert stored.revision == state.revision == 2
    assert stored.created_at.tzinfo is not None


def test_a_disabled_label_is_stored_but_not_searched(store: LabelStore, source: WordSource) -> None:
    store.snapshot(DEFAULT_SET)

    store.upsert(DEFAULT_SET, [NewLabel(Label("juggling", threshold=0.5), enabled=False)])

    assert names_in(store) == ["juggling", "riding a horse"]
    assert store.snapshot(DEFAULT_SET).index.names == ("riding a horse",)
    assert store.snapshot(DEFAULT_SET).index.thresholds == {}


def test_a_snapshot_has_the_threshold_of_the_last_write(store: LabelStore) -> None:
    store.upsert(DEFAULT_SET, [NewLabel(Label("juggling", threshold=0.5))])
    assert store.snapshot(DEFAULT_SET).index.threshold("Juggling") == 0.5

    store.upsert(DEFAULT_SET, named("juggling"))
    assert store.snapshot(DEFAULT_SET).index.thresholds == {}


def test_labels_survive_a_restart_without_being_embedded_again(
    store: LabelStore, source: WordSource, url: str
) -> None:
    store.upsert(DEFAULT_SET, named("playing chess"))
    store.close()

    after = WordSource()
    again = LabelStore.open(url, after, first_labels=["never stored"])

    assert names_in(again) == ["juggling", "playing chess", "riding a horse"]
    assert best(again, after, "playing chess") == "playing chess"
    assert again.state(DEFAULT_SET).revision == 2
    again.close()
    assert after.embedded == []


def test_an_emptied_default_set_is_not_filled_again(store: LabelStore, url: str) -> None:
    store.replace(DEFAULT_SET, [])
    store.close()

    again = LabelStore.open(url, WordSource(), first_labels=["juggling"])

    assert names_in(again) == []
    assert again.snapshot(DEFAULT_SET).index.names == ()
    again.close()


def test_only_changed_texts_are_embedded(store: LabelStore, source: WordSource) -> None:
    source.embedded.clear()

    store.upsert(
        DEFAULT_SET,
        [
            NewLabel(Label("juggling", threshold=0.4)),
            NewLabel(Label("riding a horse", prompts=("on horseback",))),
        ],
    )

    assert source.embedded == ["riding a horse"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority per thread")
def test_a_large_write_is_embedded_at_low_priority(store: LabelStore) -> None:
    class Recording(WordSource):
        def __init__(self) -> None:
            super().__init__()
            self.niceness: set[int] = set()

        def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
            self.niceness.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
            return super().prototypes(labels)

    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    small, large = Recording(), Recording()
    url = store.engine.url.render_as_string(hide_password=False)
    for source, count in ((small, 1), (large, 1_000)):
        other = LabelStore.open(url, source, complete_vectors=False)
        other.upsert("sports", named(*(f"sport {count} {number}" for number in range(count))))
        other.close()

    assert small.niceness == {usual}
    assert large.niceness == {min(usual + 10, 19)}


def test_a_write_is_all_or_nothing(store: LabelStore) -> None:
    with pytest.raises(LabelError):
        store.upsert(DEFAULT_SET, named("playing chess", "swimming", " Playing  chess "))

    assert names_in(store) == ["juggling", "riding a horse"]
    assert store.state(DEFAULT_SET).revision == 1


def test_a_write_over_the_maximum_size_is_refused(url: str) -> None:
    store = LabelStore.open(url, WordSource(), first_labels=["a", "b"], max_labels=3)
    store.upsert(DEFAULT_SET, named("c"))

    with pytest.raises(SetFull):
        store.upsert(DEFAULT_SET, named("d"))
    with pytest.raises(SetFull):
        store.replace("another", named("d", "e", "f", "g"))

    assert names_in(store) == ["a", "b", "c"]
    store.close()


def test_sets_do_not_mix(store: LabelStore, source: WordSource) -> None:
    store.upsert("sports", named("juggling", "swimming"))

    store.remove("sports", "juggling")

    assert names_in(store, "sports") == ["swimming"]
    assert names_in(store) == ["juggling", "riding a horse"]
    assert best(store, source, "juggling", "sports") == "swimming"
    assert [state.name for state in store.sets()] == ["default", "sports"]
    assert [state.name for state in store.sets(after="default")] == ["sports"]


def test_a_replaced_set_contains_only_the_new_labels(store: LabelStore) -> None:
    store.snapshot(DEFAULT_SET)

    written = store.replace(DEFAULT_SET, named("juggling", "swimming"))

    assert (written.created, written.updated, written.removed) == (1, 1, 1)
    assert sorted(store.snapshot(DEFAULT_SET).index.names) == ["juggling", "swimming"]
    assert store.state(DEFAULT_SET).size == 2


def test_a_set_created_again_continues_its_revisions(store: LabelStore) -> None:
    store.upsert("sports", named("juggling"))
    store.snapshot("sports")
    store.delete_set("sports")
    with pytest.raises(SetNotFound):
        store.snapshot("sports")

    written = store.upsert("sports", named("swimming"))

    assert written.state.revision == 3
    assert store.snapshot("sports").index.names == ("swimming",)


def test_the_default_set_cannot_be_deleted(store: LabelStore) -> None:
    with pytest.raises(SetProtected):
        store.delete_set(DEFAULT_SET)


def test_a_copy_is_complete_and_independent_of_its_source(
    store: LabelStore, source: WordSource
) -> None:
    store.upsert("copy", named("will be gone"))
    store.snapshot("copy")
    source.embedded.clear()

    written = store.copy_set(DEFAULT_SET, "copy")
    store.upsert(DEFAULT_SET, named("playing chess"))

    assert (written.created, written.removed, written.state.size) == (2, 1, 2)
    assert sorted(store.snapshot("copy").index.names) == ["juggling", "riding a horse"]
    assert source.embedded == ["playing chess"]
    with pytest.raises(SetNotFound):
        store.copy_set("nowhere", "copy")


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        (Condition(revisions=frozenset({1})), True),
        (Condition(revisions=frozenset({7, 1})), True),
        (Condition(revisions="*"), True),
        (Condition(revisions=frozenset({0})), False),
        (Condition(must_be_new=True), False),
    ],
)
def test_a_write_needs_its_condition_to_hold(
    store: LabelStore, condition: Condition, fits: bool
) -> None:
    writes: list[Callable[[], Written]] = [
        lambda: store.upsert(DEFAULT_SET, named("swimming"), condition=condition),
        lambda: store.replace(DEFAULT_SET, named("swimming"), condition=condition),
        lambda: store.remove(DEFAULT_SET, "juggling", condition=condition),
        lambda: store.copy_set("other", DEFAULT_SET, condition=condition),
    ]
    store.upsert("other", named("x"))
    for write in writes:
        if fits:
            write()
            break
        with pytest.raises(ConditionFailed):
            write()
    assert store.state(DEFAULT_SET).revision == (2 if fits else 1)


def test_a_set_with_must_be_new_is_created_once(store: LabelStore) -> None:
    store.upsert("sports", named("juggling"), condition=Condition(must_be_new=True))

    with pytest.raises(ConditionFailed):
        store.upsert("sports", named("juggling"), condition=Condition(must_be_new=True))
    with pytest.raises(ConditionFailed):
        store.upsert("nowhere", named("juggling"), condition=Condition(revisions="*"))
    with pytest.raises(SetNotFound):
        store.state("nowhere")


def test_all_pages_together_contain_the_whole_set(store: LabelStore) -> None:
    store.replace(DEFAULT_SET, named(*(f"label {number:03}" for number in range(25))))

    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = store.page(DEFAULT_SET, after=after, limit=10)
        seen += [stored.new.label.name for stored in page.labels]
        after = page.last_key

    assert seen == [f"label {number:03}" for number in range(25)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("HORSE", ["riding a horse"]),
        ("on  horseback", ["riding a horse"]),
        ("100%", ["100% effort"]),
        ("0_", []),
        ("", ["100% effort", "juggling", "riding a horse"]),
    ],
)
def test_text_search_matches_names_and_aliases_literally(
    store: LabelStore, query: str, found: list[str]
) -> None:
    store.upsert(
        DEFAULT_SET,
        [*named("100% effort"), NewLabel(Label("riding a horse", aliases=("On horseback",)))],
    )

    page = store.page(DEFAULT_SET, query=query)

    assert [stored.new.label.name for stored in page.labels] == found


def test_every_sqlite_connection_has_durable_settings(tmp_path: Path) -> None:
    store = LabelStore.open(f"sqlite:///{tmp_path / 'labels.sqlite'}", WordSource())
    with store.engine.connect() as one, store.engine.connect() as two:
        for connection in (one, two):
            assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
            assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
            assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
            assert connection.execute(text("PRAGMA busy_timeout")).scalar_one() >= 10_000
    store.close()
