"""A store reads another process's writes before it is asked for them."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import event, text

from app.store import DEFAULT_SET, LabelStore, NewLabel
from model import Label
from tests.support.word_vectors import WordSource

# a limit for failures only: a follower that works takes about a second
_GIVE_UP_SECONDS = 60.0


@pytest.fixture
def stores(migrated_url: str) -> Iterator[tuple[LabelStore, LabelStore]]:
    pair = (
        LabelStore.open(migrated_url, WordSource(), first_labels=["juggling"]),
        LabelStore.open(migrated_url, WordSource()),
    )
    pair[1].snapshot(DEFAULT_SET)
    pair[1].follow()
    yield pair
    for store in pair:
        store.close()


def when_it_reads(store: LabelStore) -> threading.Event:
    """An event that is set when the store reads labels' vectors."""
    seen = threading.Event()

    @event.listens_for(store.engine, "before_cursor_execute")
    def look(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "prototypes.vectors" in statement:
            seen.set()

    return seen


def reads_by_itself(writer: LabelStore, follower: LabelStore, name: str) -> bool:
    """Whether the follower reads, without a request, a label that the writer stores."""
    read = when_it_reads(follower)
    writer.upsert(DEFAULT_SET, [NewLabel(Label(name))])
    return read.wait(_GIVE_UP_SECONDS) and name in follower.snapshot(DEFAULT_SET).index.names


def test_a_follower_reads_what_another_store_writes(
    stores: tuple[LabelStore, LabelStore],
) -> None:
    writer, follower = stores
    for name in ("swimming", "rowing"):
        assert reads_by_itself(writer, follower, name)


@pytest.mark.postgres
def test_a_follower_on_postgresql_reacts_to_notifications_without_polling(
    postgres_url: str,
) -> None:
    writer = LabelStore.open(postgres_url, WordSource(), first_labels=["juggling"])
    follower = LabelStore.open(postgres_url, WordSource())
    follower.snapshot(DEFAULT_SET)
    follower.follow(poll_seconds=100 * _GIVE_UP_SECONDS)

    # it may read the first label when it starts to listen; the others need a notification
    for name in ("swimming", "rowing", "skating"):
        assert reads_by_itself(writer, follower, name)
    writer.close()
    follower.close()


@pytest.mark.postgres
def test_a_follower_reconnects_when_its_connection_is_terminated(postgres_url: str) -> None:
    writer = LabelStore.open(postgres_url, WordSource(), first_labels=["juggling"])
    follower = LabelStore.open(postgres_url, WordSource())
    follower.snapshot(DEFAULT_SET)
    follower.follow()
    terminate = text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()"
        " AND datname = current_database()"
    )
    terminated = 0
    while not terminated:
        with writer.engine.begin() as connection:
            terminated = connection.execute(terminate).scalar_one()

    assert reads_by_itself(writer, follower, "swimming")
    writer.close()
    follower.close()
