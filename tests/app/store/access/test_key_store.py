"""API keys in the database: digests only, rotation, and quotas that all processes share."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.store.access import (
    KeyNotFound,
    KeyStore,
    Limits,
    Quota,
    Refused,
    Rights,
    Want,
)

RIGHTS = Rights(frozenset(["classify"]), frozenset(["sports"]), Limits(requests_per_minute=10))
MINUTE = Quota("requests-per-minute", 10, 60)
VIDEO = Quota("video-seconds-per-minute", 60, 60)


@pytest.fixture
def stores(migrated_url: str) -> Iterator[tuple[KeyStore, KeyStore]]:
    """Two processes' stores on one database."""
    first, second = KeyStore.open(migrated_url), KeyStore.open(migrated_url)
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def store(stores: tuple[KeyStore, KeyStore]) -> KeyStore:
    return stores[0]


def want(units: float, window: int = 100, *, quota: Quota = MINUTE, hope: float = 0) -> Want:
    return Want("a", quota, window, units, hope)


def test_a_key_is_read_as_it_was_created(stores: tuple[KeyStore, KeyStore]) -> None:
    writer, reader = stores
    assert not reader.has_keys()

    created = writer.create("a", "the name", RIGHTS, digest="d")

    assert reader.has_keys()
    assert reader.find("a") == created
    assert created.rights == RIGHTS
    assert [key.id for key in reader.page()] == ["a"]
    assert reader.page(after="a") == []
    assert reader.find("b") is None


@pytest.mark.parametrize(
    "label_sets",
    [None, frozenset[str](), frozenset(["a", "b"])],
    ids=["every set", "no set", "two sets"],
)
def test_no_label_set_is_not_every_label_set(
    label_sets: frozenset[str] | None, store: KeyStore
) -> None:
    store.create("a", "", Rights(frozenset(), label_sets), digest="d")

    found = store.find("a")
    assert found is not None
    assert found.rights.label_sets == label_sets


def test_a_rotated_key_keeps_its_former_digest_until_then(store: KeyStore) -> None:
    store.create("a", "", RIGHTS, digest="1")
    until = datetime.now(UTC) + timedelta(hours=1)

    store.rotate("a", digest="2", former_until=until)
    rotated = store.rotate("a", digest="3", former_until=until)

    assert (rotated.digest, rotated.former_digest, rotated.former_until) == ("3", "2", until)
    assert rotated.rights == RIGHTS


def test_a_revoked_key_is_kept_but_cannot_be_changed(store: KeyStore) -> None:
    store.create("a", "", RIGHTS, digest="1")
    revoked = store.revoke("a")

    assert revoked.revoked_at is not None
    assert store.has_keys()
    with pytest.raises(KeyNotFound):
        store.revoke("a")
    with pytest.raises(KeyNotFound):
        store.rotate("a", digest="2", former_until=datetime.now(UTC))
    with pytest.raises(KeyNotFound):
        store.create("b", "", RIGHTS, digest="1", created_by="a")


def test_the_last_use_is_the_latest_of_all_processes(stores: tuple[KeyStore, KeyStore]) -> None:
    first, second = stores
    first.create("a", "", RIGHTS, digest="1")
    late = datetime.now(UTC)

    first.note_use({"a": late, "unknown": late})
    second.note_use({"a": late - timedelta(minutes=1)})

    found = first.find("a")
    assert found is not None
    assert found.last_used_at == late


def test_keys_share_the_limits_of_the_keys_that_they_come_from(store: KeyStore) -> None:
    free = Rights(frozenset(["classify"]))
    store.create("a", "", RIGHTS, digest="1")
    store.create("b", "", free, digest="1", created_by="a")
    made = store.create("c", "", RIGHTS, digest="1", created_by="b")

    assert {pool.key_id for pool in made.pools} == {"a", "c"}
    assert store.find("c") == made


def test_two_processes_take_no_more_than_the_limit(stores: tuple[KeyStore, KeyStore]) -> None:
    stores[0].create("a", "", RIGHTS, digest="1")

    def try_to_take(number: int) -> bool:
        try:
            stores[number % 2].take([want(1)])
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(try_to_take, range(30)))

    assert sum(outcomes) == MINUTE.limit
    assert stores[1].take([want(1, window=101)])[0].used == 1


def test_a_quota_gives_what_is_hoped_for_while_it_has_that(store: KeyStore) -> None:
    store.create("a", "", RIGHTS, digest="1")

    assert store.take([want(1, hope=7)])[0].units == 7
    assert store.take([want(1, hope=7)])[0].units == 3
    with pytest.raises(Refused):
        store.take([want(0, hope=7)])


def test_the_excess_of_a_long_video_is_taken_from_the_next_windows(store: KeyStore) -> None:
    store.create("a", "", RIGHTS, digest="1")

    assert store.take([want(150, quota=VIDEO)])[0].used == 150
    with pytest.raises(Refused) as refused:
        store.take([want(1, 101, quota=VIDEO)])
    assert refused.value.used == 90
    assert store.take([want(1, 102, quota=VIDEO)])[0].used == 31
    assert store.take([want(1, 200, quota=VIDEO)])[0].used == 1


def test_a_refused_quota_takes_nothing_from_the_others(store: KeyStore) -> None:
    store.create("a", "", RIGHTS, digest="1")
    store.take([want(60, quota=VIDEO)])

    with pytest.raises(Refused):
        store.take([want(1), want(1, quota=VIDEO)])

    assert store.take([want(1)])[0].used == 1


def test_a_process_with_a_slow_clock_takes_from_the_window_of_the_others(store: KeyStore) -> None:
    store.create("a", "", RIGHTS, digest="1")
    store.take([want(4, window=101)])

    taken = store.take([want(1, window=100)])

    assert (taken[0].used, taken[0].window) == (5, 101)


def test_what_a_client_sent_is_not_in_an_error_of_the_database(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'labels.sqlite'}"
    store = KeyStore.open(url)
    with sqlite3.connect(tmp_path / "labels.sqlite") as broken:
        broken.execute("DROP TABLE api_use")
        broken.execute("DROP TABLE api_keys")

    with pytest.raises(Exception, match="no such table") as failure:
        store.create("a", "a private name", RIGHTS, digest="a digest")
    store.close()

    causes = [str(failure.value), str(failure.value.__cause__)]
    assert not any("private" in text for text in causes)
