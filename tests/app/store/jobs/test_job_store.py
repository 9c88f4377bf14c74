"""Jobs in SQLite and PostgreSQL: none is lost, none is run by two processes, none ends twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select, update

from app.store import StoreUnavailable
from app.store.database import migrate, open_engine, reading, writing
from app.store.jobs import (
    JobNotFound,
    JobStore,
    KeyInUse,
    KeyReused,
    NewJob,
    Outcome,
    WebhookStore,
)
from app.store.jobs.tables import JobChunkRow, JobRow

LEASE = timedelta(minutes=1)
OVER = timedelta(seconds=-1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    engine = open_engine(migrated_url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> JobStore:
    return JobStore(engine)


def new_job(number: int = 0, *, key: str | None = None, callback: str | None = None) -> NewJob:
    return NewJob({"top_k": number}, "0" * 64, f"print {number}", key, callback)


def count_chunks(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(JobChunkRow)).scalar_one()


def test_a_job_is_claimed_once_with_its_video(store: JobStore) -> None:
    job = store.create(new_job(7), [b"one", b"two"])

    claimed = store.claim("a", LEASE)

    assert job.status == "queued"
    assert claimed is not None
    assert (claimed.id, claimed.request, claimed.attempts) == (job.id, {"top_k": 7}, 1)
    assert list(store.video(job.id)) == [b"one", b"two"]
    assert store.claim("b", LEASE) is None
    assert store.get(job.id).status == "running"


def test_jobs_are_claimed_in_order(store: JobStore) -> None:
    made = [store.create(new_job(number), [b"x"]).id for number in range(3)]

    claimed = [store.claim("a", LEASE) for _ in range(3)]

    assert [each.id for each in claimed if each is not None] == made


def test_a_job_whose_process_died_is_run_again_and_ends_once(
    store: JobStore, engine: Engine
) -> None:
    job = store.create(new_job(callback="https://example.org/"), [b"x"])
    store.claim("dead", OVER)

    again = store.claim("alive", LEASE)

    assert again is not None
    assert again.attempts == 2
    assert not store.finish(job.id, "dead", Outcome(result={"of": "dead"}))
    assert store.finish(job.id, "alive", Outcome(result={"of": "alive"}))
    assert not store.finish(job.id, "alive", Outcome(result={"of": "twice"}))
    found = store.get(job.id)
    assert (found.status, found.result, found.progress) == ("succeeded", {"of": "alive"}, 1.0)
    assert count_chunks(engine) == 0
    webhooks = WebhookStore(engine)
    assert webhooks.claim(MINUTE, HOUR) is not None
    assert webhooks.claim(MINUTE, HOUR) is None


def test_a_lease_from_before_the_clock_was_set_back_has_ended(store: JobStore) -> None:
    job = store.create(new_job(), [b"x"])
    store.claim("dead, its clock was a day ahead", timedelta(days=1))

    again = store.claim("alive", LEASE)

    assert again is not None
    assert again.id == job.id
    assert store.claim("another", LEASE) is None


def test_a_lease_of_a_host_whose_clock_is_ahead_by_seconds_holds(store: JobStore) -> None:
    store.create(new_job(), [b"x"])
    store.claim("a", LEASE + timedelta(seconds=10))

    assert store.claim("b", LEASE) is None


def test_a_lease_that_is_extended_does_not_end(store: JobStore) -> None:
    job = store.create(new_job(), [b"x"])
    store.claim("a", OVER)

    assert store.extend(job.id, "a", LEASE, 0.5)
    assert store.claim("b", LEASE) is None
    assert store.get(job.id).progress == 0.5


def test_a_cancelled_job_is_no_processs_any_more(store: JobStore, engine: Engine) -> None:
    queued, running = store.create(new_job(1), [b"x"]), store.create(new_job(2), [b"x"])
    store.cancel(queued.id)
    store.claim("a", LEASE)

    assert store.cancel(running.id).status == "cancelled"
    assert not store.is_owned(running.id, "a")
    assert not store.extend(running.id, "a", LEASE, 0.9)
    assert not store.finish(running.id, "a", Outcome(result={}))
    assert store.get(running.id).status == "cancelled"
    assert count_chunks(engine) == 0


def test_a_job_that_has_ended_cannot_be_cancelled(store: JobStore) -> None:
    job = store.create(new_job(), [b"x"])
    store.claim("a", LEASE)
    store.finish(job.id, "a", Outcome(problem={"code": "corrupt"}))

    assert store.cancel(job.id).status == "failed"


def test_a_released_job_is_run_by_another_process_at_once(store: JobStore) -> None:
    job = store.create(new_job(), [b"x"])
    store.claim("a", LEASE)
    store.release(job.id, "a")

    claimed = store.claim("b", LEASE)

    assert claimed is not None
    assert (claimed.id, claimed.attempts) == (job.id, 1)


def test_a_key_stands_for_one_request(store: JobStore, engine: Engine) -> None:
    first = store.create(new_job(1, key="k"), [b"x"])

    assert store.create(new_job(1, key="k"), [b"x"]).id == first.id
    with pytest.raises(KeyReused):
        store.create(new_job(2, key="k"), [b"x"])
    assert len(store.page(limit=10)) == 1
    assert count_chunks(engine) == 1


def test_a_key_is_in_use_while_its_video_is_stored(store: JobStore) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        with pytest.raises(KeyInUse):
            store.create(new_job(1, key="k"), [b"x"])
        assert store.page(limit=10) == []
        yield b"two"

    job = store.create(new_job(1, key="k"), chunks())

    assert [each.id for each in store.page(limit=10)] == [job.id]


def test_a_key_is_free_again_after_its_video_could_not_be_stored(
    store: JobStore, engine: Engine
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"one"
        raise StoreUnavailable("the label database does not answer")

    with pytest.raises(StoreUnavailable):
        store.create(new_job(1, key="k"), chunks())

    assert count_chunks(engine) == 0
    again = store.create(new_job(1, key="k"), [b"one", b"two"])
    assert [each.id for each in store.page(limit=10)] == [again.id]


def test_a_key_is_not_in_use_for_long_after_the_clock_was_set_back(
    store: JobStore, engine: Engine
) -> None:
    for key in ("used again", "abandoned"):
        store.create(new_job(1, key=key), [b"one"])
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with writing(engine) as connection:
        # as a process leaves them that dies while it stores the videos
        connection.execute(update(JobRow).values(status="receiving", created_at=tomorrow))

    assert store.create(new_job(1, key="used again"), [b"x"]).status == "queued"
    assert store.delete_old(timedelta(days=1)) == 1


def test_pages_hold_every_job_once(store: JobStore) -> None:
    made = [store.create(new_job(number), [b"x"]).id for number in range(5)]

    first = store.page(limit=2)
    store.create(new_job(9), [b"x"])
    rest = store.page(before=(first[-1].created_at, first[-1].id), limit=10)

    listed = [job.id for job in (*first, *rest)]
    assert listed == made[::-1]
    assert store.page("running", limit=10) == []


def test_old_jobs_are_deleted_with_their_results(store: JobStore, engine: Engine) -> None:
    old, fresh = store.create(new_job(1), [b"x"]), store.create(new_job(2), [b"x"])
    for job in (old, fresh):
        store.cancel(job.id)
    with writing(engine) as connection:
        past = datetime.now(UTC) - timedelta(days=2)
        connection.execute(update(JobRow).where(JobRow.id == old.id).values(finished_at=past))

    assert store.delete_old(timedelta(days=1)) == 1
    with pytest.raises(JobNotFound):
        store.get(old.id)
    assert store.get(fresh.id).status == "cancelled"


def test_a_webhook_is_due_again_until_it_is_removed(store: JobStore, engine: Engine) -> None:
    job = store.create(new_job(callback="https://example.org/"), [b"x"])
    store.cancel(job.id)
    webhooks = WebhookStore(engine)

    first = webhooks.claim(OVER, HOUR)
    second = webhooks.claim(MINUTE, HOUR)

    assert first is not None
    assert second is not None
    assert (first.id, first.attempts, second.attempts) == (second.id, 0, 1)
    webhooks.postpone(first.id, OVER)
    assert webhooks.claim(MINUTE, HOUR) is not None
    webhooks.remove(first.id)
    webhooks.postpone(first.id, OVER)
    assert webhooks.claim(MINUTE, HOUR) is None


def test_a_webhook_postponed_before_the_clock_was_set_back_is_due(
    store: JobStore, engine: Engine
) -> None:
    store.cancel(store.create(new_job(callback="https://example.org/"), [b"x"]).id)
    webhooks = WebhookStore(engine)
    first = webhooks.claim(timedelta(days=1), HOUR)
    assert first is not None

    assert webhooks.claim(MINUTE, HOUR) is not None
    webhooks.postpone(first.id, HOUR)
    assert webhooks.claim(MINUTE, HOUR) is None
