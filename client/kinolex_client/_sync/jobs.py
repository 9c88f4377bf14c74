# Written by client/make_sync.py; edit `_async` instead.
"""Calls about jobs: classifications that outlive their request."""

import time
import uuid
from collections.abc import Iterator
from typing import Unpack
from urllib.parse import quote

from kinolex_client._sync.paging import SyncPaged
from kinolex_client._sync.transport import SyncCall
from kinolex_client.answers import Classification, Job, JobStatus
from kinolex_client.decoding import decode
from kinolex_client.errors import JobCancelled, JobNotFinished
from kinolex_client.options import JobOptions, query
from kinolex_client.problems import problem_of
from kinolex_client.videos import Source, Video
from kinolex_client.waiting import sync_sleep

_FIRST_LOOK_SECONDS = 0.2
_MAX_LOOK_SECONDS = 5.0


class SyncJobs(SyncPaged):
    """The part of the client for jobs."""

    def create_job(
        self, video: Video, *, idempotency_key: str | None = None, **options: Unpack[JobOptions]
    ) -> Job:
        """Store a video to be tagged later.

        The same `idempotency_key` gets the same job; without one, only attempts of this call share
        one.
        """
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        call = SyncCall("POST", "/jobs", query(options), headers, video=Source(video))
        return decode(Job, self._transport.json(call))

    def job(self, job_id: str) -> Job:
        """Return a job as it is now."""
        call = SyncCall("GET", f"/jobs/{quote(job_id, safe='')}")
        return decode(Job, self._transport.json(call))

    def jobs(self, status: JobStatus | None = None) -> Iterator[Job]:
        """Iterate over jobs, newest first, without their results."""
        return self._pages(Job, "/jobs", query({"status": status}))

    def cancel_job(self, job_id: str) -> Job:
        """Stop a job; one that has ended stays as it is."""
        call = SyncCall("DELETE", f"/jobs/{quote(job_id, safe='')}")
        return decode(Job, self._transport.json(call))

    def wait_for_job(self, job_id: str, *, timeout_seconds: float | None = None) -> Classification:
        """Wait until a job has ended and return its result.

        Raises the problem of a job that failed, JobCancelled, and JobNotFinished after
        `timeout_seconds`.
        """
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        pause = _FIRST_LOOK_SECONDS
        while not (job := self.job(job_id)).has_ended:
            if end is not None and time.monotonic() + pause > end:
                raise JobNotFinished(f"job {job_id} is {job.status} at {job.progress:.0%}")
            sync_sleep(pause)
            pause = min(2 * pause, _MAX_LOOK_SECONDS)
        if job.problem is not None:
            raise problem_of(job.problem)
        if job.result is None:
            raise JobCancelled(f"job {job_id} was cancelled")
        return job.result
