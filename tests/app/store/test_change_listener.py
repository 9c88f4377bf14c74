"""What one process writes, another has read before anybody asks it."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import event, text

from app.store import DEFAULT_SET, LabelStore, NewLabel, change_listener
from model import Label
from tests.support.word_vectors import WordSource


@pytest.fixture
def stores(database_url: str) -> Iterator[tuple[LabelStore, LabelStore]]:
    pair = (
        LabelStore.open(database_url, WordSource(), first_labels=["juggling"]),
        LabelStore.open(database_url, WordSource()),
    )
    pair[1].snapshot(DEFAULT_SET)
    pair[1].follow()
    yield pair
    for store in pair:
        store.close()


def when_it_reads(store: LabelStore) -> threading.Event:
    """Set when the store reads labels' vectors."""
    seen = threading.Event()

    @event.listens_for(store.engine, "before_cursor_execute")
    def look(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "prototypes.vectors" in statement:
            seen.set()

    return seen


def hears(writer: LabelStore, follower: LabelStore, name: str, *, seconds: float) -> bool:
    """Whether the follower has read, so soon, a label that the writer stores now."""
    read = when_it_reads(follower)
    writer.upsert(DEFAULT_SET, [NewLabel(Label(name))])
    return read.wait(seconds) and name in follower.snapshot(DEFAULT_SET).index.names


def test_a_follower_reads_what_another_store_has_written(
    stores: tuple[LabelStore, LabelStore],
) -> None:
    writer, follower = stores
    for name in ("swimming", "rowing"):
        assert hears(writer, follower, name, seconds=20)


@pytest.mark.postgres
def test_a_follower_on_postgresql_is_told_and_need_not_look(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_listener, "_POLL_SECONDS", 60.0)
    writer = LabelStore.open(postgres_url, WordSource(), first_labels=["juggling"])
    follower = LabelStore.open(postgres_url, WordSource())
    follower.snapshot(DEFAULT_SET)
    follower.follow()

    try:
        # it may find the first when it begins to listen, and only hears of the others
        for name in ("swimming", "rowing", "skating"):
            assert hears(writer, follower, name, seconds=5)
    finally:
        monkeypatch.undo()
        # wakes it from a minute's wait, to be closed within a second
        writer.upsert(DEFAULT_SET, [NewLabel(Label("sledding"))])
        writer.close()
        follower.close()


@pytest.mark.postgres
def test_a_follower_whose_connection_is_cut_listens_again(postgres_url: str) -> None:
    writer = LabelStore.open(postgres_url, WordSource(), first_labels=["juggling"])
    follower = LabelStore.open(postgres_url, WordSource())
    follower.snapshot(DEFAULT_SET)
    follower.follow()
    cut = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
        " AND datname = current_database()"
    )
    cut_off = 0
    while not cut_off:
        with writer.engine.begin() as connection:
            cut_off = connection.execute(cut).scalar_one()

    assert hears(writer, follower, "swimming", seconds=20)
    writer.close()
    follower.close()
