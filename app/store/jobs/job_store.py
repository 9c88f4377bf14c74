"""The store of jobs: created, claimed under a lease, finished once."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.store.database import reading, writing
from app.store.health.failures import StoreUnavailable
from app.store.jobs.messages import job_message, queue
from app.store.jobs.records import (
    ClaimedJob,
    Job,
    JobNotFound,
    KeyInUse,
    KeyReused,
    NewJob,
    Outcome,
)
from app.store.jobs.tables import CHUNKS, JOBS, JobChunkRow, JobRow

_JOB_COLUMNS = (
    JobRow.id,
    JobRow.status,
    JobRow.sha256,
    JobRow.progress,
    JobRow.problem,
    JobRow.created_at,
    JobRow.finished_at,
    JobRow.callback_url,
)
_RECEIVING = "receiving"
# Copying a received video into the database takes seconds; after this it was abandoned.
_MAX_STORING = timedelta(minutes=10)


class JobStore:
    """Jobs in a database that processes and hosts share; thread-safe.

    Methods block on the disk: call them from a worker thread. All raise StoreUnavailable when the
    database does not answer.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, new: NewJob, chunks: Iterable[bytes]) -> Job:
        """Store a job with its video, in pieces so that no other write waits for long.

        If a job of the same request has the idempotency key, returns that one. Raises KeyReused,
        and KeyInUse while another call stores a job with the key. A call that fails leaves no job.
        """
        job_id = uuid4().hex
        with writing(self._engine) as connection:
            known = None
            if new.idempotency_key is not None:
                known = _job_of_key(connection, new.idempotency_key, new.fingerprint)
            if known is None:
                _insert(connection, job_id, new)
        if known is not None:
            return self.get(known)
        try:
            self._store_video(job_id, chunks)
        except BaseException:  # the caller sends the request again, with the same idempotency key
            self._forget_unfinished(job_id)
            raise
        return self.get(job_id)

    def _store_video(self, job_id: str, chunks: Iterable[bytes]) -> None:
        for position, content in enumerate(chunks):
            with writing(self._engine) as connection:
                connection.execute(
                    insert(CHUNKS).values(job_id=job_id, position=position, content=content)
                )
        with writing(self._engine) as connection:
            connection.execute(update(JobRow).where(JobRow.id == job_id).values(status="queued"))

    def _forget_unfinished(self, job_id: str) -> None:
        """Delete a job whose video was not stored; `delete_old` does where the database fails."""
        is_unfinished = (JobRow.id == job_id) & (JobRow.status == _RECEIVING)
        with suppress(StoreUnavailable), writing(self._engine) as connection:
            connection.execute(delete(JobRow).where(is_unfinished))

    def get(self, job_id: str) -> Job:
        """Return a job. Raises JobNotFound."""
        with reading(self._engine) as connection:
            row = connection.execute(
                select(*_JOB_COLUMNS, JobRow.result).where(
                    JobRow.id == job_id, JobRow.status != _RECEIVING
                )
            ).one_or_none()
        if row is None:
            raise JobNotFound(f"there is no job {job_id!r}")
        return _job(row, row.result)

    def page(
        self, status: str | None = None, *, before: tuple[datetime, str] | None = None, limit: int
    ) -> list[Job]:
        """Return up to `limit` jobs created before one, newest first, without their results."""
        statement = select(*_JOB_COLUMNS).where(JobRow.status != _RECEIVING)
        if status is not None:
            statement = statement.where(JobRow.status == status)
        if before is not None:
            created_at, job_id = before
            statement = statement.where(
                (JobRow.created_at < created_at)
                | ((JobRow.created_at == created_at) & (JobRow.id < job_id))
            )
        ordered = statement.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            return [_job(row, None) for row in connection.execute(ordered)]

    def claim(self, owner: str, lease: timedelta) -> ClaimedJob | None:
        """Take the oldest job that waits or whose process died; None if there is none.

        A lease of more than twice `lease` from now was written before the clock was set back: it
        has ended too.
        """
        now = datetime.now(UTC)
        is_held = JobRow.lease_until.between(now, now + 2 * lease)
        waits = (JobRow.status == "queued") | ((JobRow.status == "running") & ~is_held)
        with reading(self._engine) as connection:
            # SQLite has one writer at a time: do not queue for it in vain
            if connection.execute(select(JobRow.id).where(waits).limit(1)).first() is None:
                return None
        with writing(self._engine) as connection:
            job_id = connection.execute(
                select(JobRow.id)
                .where(waits)
                .order_by(JobRow.created_at)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).scalar_one_or_none()
            if job_id is None:
                return None
            row = connection.execute(
                update(JobRow)
                .where(JobRow.id == job_id)
                .values(
                    status="running",
                    owner=owner,
                    lease_until=now + lease,
                    attempts=JobRow.attempts + 1,
                )
                .returning(JobRow.id, JobRow.request, JobRow.sha256, JobRow.attempts, JobRow.key_id)
            ).one()
        return ClaimedJob(row.id, row.request, row.sha256, row.attempts, row.key_id)

    def video(self, job_id: str) -> Iterator[bytes]:
        """Yield the job's video in pieces."""
        position = 0
        while True:
            with reading(self._engine) as connection:
                content = connection.execute(
                    select(JobChunkRow.content).where(
                        JobChunkRow.job_id == job_id, JobChunkRow.position == position
                    )
                ).scalar_one_or_none()
            if content is None:
                return
            yield content
            position += 1

    def extend(self, job_id: str, owner: str, lease: timedelta, progress: float) -> bool:
        """Extend the lease and note the progress; False if the job is not this process's any more.

        It was cancelled then, or another process took it after the lease had ended.
        """
        with writing(self._engine) as connection:
            changed = connection.execute(
                update(JobRow)
                .where(_is_owned(job_id, owner))
                .values(lease_until=datetime.now(UTC) + lease, progress=progress)
            )
            return changed.rowcount == 1

    def is_owned(self, job_id: str, owner: str) -> bool:
        """Whether the job runs in this process and was not cancelled."""
        with reading(self._engine) as connection:
            found = connection.execute(select(JobRow.id).where(_is_owned(job_id, owner)))
            return found.first() is not None

    def finish(self, job_id: str, owner: str, outcome: Outcome) -> bool:
        """Store how the job ended; False if it is not this process's any more."""
        values: dict[str, Any] = {
            "status": "succeeded" if outcome.problem is None else "failed",
            "result": outcome.result,
            "problem": outcome.problem,
        }
        if outcome.problem is None:
            values["progress"] = 1.0
        with writing(self._engine) as connection:
            return _end(connection, _is_owned(job_id, owner), values)

    def release(self, job_id: str, owner: str) -> None:
        """Give a job back that this process cannot run now; that does not count as an attempt."""
        with writing(self._engine) as connection:
            connection.execute(
                update(JobRow)
                .where(_is_owned(job_id, owner))
                .values(
                    status="queued",
                    owner=None,
                    lease_until=None,
                    attempts=JobRow.attempts - 1,
                )
            )

    def cancel(self, job_id: str) -> Job:
        """Cancel a job; one that has finished stays as it is. Raises JobNotFound."""
        unfinished = (JobRow.id == job_id) & JobRow.status.in_(["queued", "running"])
        with writing(self._engine) as connection:
            _end(connection, unfinished, {"status": "cancelled"})
        return self.get(job_id)

    def delete_old(self, max_age: timedelta) -> int:
        """Delete jobs that finished before `max_age`, and uploads that were never completed."""
        now = datetime.now(UTC)
        is_stored = JobRow.created_at.between(now - _MAX_STORING, now + _MAX_STORING)
        abandoned = (JobRow.status == _RECEIVING) & ~is_stored
        with writing(self._engine) as connection:
            gone = delete(JobRow).where((JobRow.finished_at < now - max_age) | abandoned)
            return connection.execute(gone).rowcount


def _end(connection: Connection, which: ColumnElement[bool], values: dict[str, Any]) -> bool:
    """End a job once: store its state, delete its video, and queue its webhook."""
    now = datetime.now(UTC)
    row = connection.execute(
        update(JobRow)
        .where(which)
        .values(**values, owner=None, lease_until=None, finished_at=now)
        .returning(JobRow.id, JobRow.status, JobRow.callback_url)
    ).one_or_none()
    if row is None:
        return False
    connection.execute(delete(JobChunkRow).where(JobChunkRow.job_id == row.id))
    if row.callback_url is not None:
        queue(connection, [job_message(row.id, row.status, row.callback_url)])
    return True


def _is_owned(job_id: str, owner: str) -> ColumnElement[bool]:
    return (JobRow.id == job_id) & (JobRow.status == "running") & (JobRow.owner == owner)


def _job_of_key(connection: Connection, key: str, fingerprint: str) -> str | None:
    """Return the id of the job that has a key, None if there is none.

    Raises KeyReused and KeyInUse. A job whose video was never completed loses its key.
    """
    row = connection.execute(
        select(JobRow.id, JobRow.status, JobRow.fingerprint, JobRow.created_at).where(
            JobRow.idempotency_key == key
        )
    ).one_or_none()
    if row is None:
        return None
    if row.status == _RECEIVING:
        # also after the clock was set back
        if abs(datetime.now(UTC) - row.created_at) < _MAX_STORING:
            raise KeyInUse("a request with this Idempotency-Key is being received")
        connection.execute(delete(JobRow).where(JobRow.id == row.id))
        return None
    if row.fingerprint != fingerprint:
        raise KeyReused("the Idempotency-Key was sent with another video or other options")
    found: str = row.id
    return found


def _insert(connection: Connection, job_id: str, new: NewJob) -> None:
    try:
        with connection.begin_nested():
            connection.execute(
                insert(JOBS).values(
                    id=job_id,
                    status=_RECEIVING,
                    request=dict(new.request),
                    sha256=new.sha256,
                    fingerprint=new.fingerprint,
                    idempotency_key=new.idempotency_key,
                    callback_url=new.callback_url,
                    key_id=new.key_id,
                    progress=0.0,
                    attempts=0,
                    created_at=datetime.now(UTC),
                )
            )
    except IntegrityError as error:
        # two processes began at the same moment
        raise KeyInUse("a request with this Idempotency-Key is being received") from error


def _job(row: Row[Any], result: dict[str, Any] | None) -> Job:
    return Job(
        row.id,
        row.status,
        row.sha256,
        row.progress,
        result,
        row.problem,
        row.created_at,
        row.finished_at,
        row.callback_url,
    )
