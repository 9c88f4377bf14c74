"""Runs jobs: claims one, classifies its video, stores the answer, and gives way when cancelled."""

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn, TypeAlias
from uuid import uuid4

import anyio
from anyio import to_thread
from cachetools import LRUCache
from structlog.typing import FilteringBoundLogger

from app.access.access import Access
from app.access.meter import charged_to
from app.archive.kept_videos import KeptVideos
from app.errors import KINDS
from app.lifecycle.background import keep_running
from app.observe.timings import collect_timings, stage_seconds
from app.problems import problem_document
from app.question import Classified, ClassifyRequest, Progress
from app.service import TaggingService
from app.settings import Settings
from app.store import StoreUnavailable
from app.store.access import Pool
from app.store.jobs import ClaimedJob, JobStore, Outcome
from app.upload.buffer import Piece, UploadBuffers
from model import KinolexError

# A job whose process died is run by another one after this time.
LEASE = timedelta(seconds=30)
_SECONDS_BETWEEN_EXTENSIONS = 5.0
# How soon a job that was queued or cancelled through another process is noticed.
_SECONDS_BETWEEN_LOOKS = 0.5
# A job that ends its process each time would otherwise be run for ever.
MAX_ATTEMPTS = 20
# Jobs of which a process remembers that they are charged, for when it runs them again.
_MAX_CHARGED = 10_000

# makes the JSON of an answer from: the answer, the video's sha256, whether it is kept, the job's
# id, and the seconds of each stage
ToJson: TypeAlias = Callable[[Classified, str, bool, str, Mapping[str, float]], dict[str, Any]]


class JobRunner:
    """Runs jobs of the store until its `run` is cancelled."""

    def __init__(
        self,
        store: JobStore,
        service: TaggingService,
        videos: KeptVideos,
        access: Access,
        settings: Settings,
        to_json: ToJson,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._service = service
        self._videos = videos
        self._access = access
        self._charged: LRUCache[str, set[str]] = LRUCache(_MAX_CHARGED)
        self._settings = settings
        self._to_json = to_json
        self._log = log
        self._owner = uuid4().hex
        self._queued = anyio.Event()
        self._running: dict[str, anyio.CancelScope] = {}

    def wake(self) -> None:
        """Look for a queued job at once."""
        self._queued.set()
        self._queued = anyio.Event()

    def stop(self, job_id: str) -> None:
        """End a cancelled job at once, with its decoding, if it runs in this process."""
        if job_id in self._running:
            self._running[job_id].cancel()

    async def run(self) -> NoReturn:
        """Run up to `job_slots` jobs at the same time."""
        async with anyio.create_task_group() as group:
            for _ in range(self._settings.job_slots):
                group.start_soon(keep_running, "jobs", self._work, self._log)
        raise AssertionError("the slots never end by themselves")

    async def _work(self) -> NoReturn:
        while True:
            queued = self._queued
            try:
                job = await to_thread.run_sync(self._store.claim, self._owner, LEASE)
                if job is not None:
                    await self._run(job)
                    continue
            except StoreUnavailable as error:
                self._log.warning("jobs_wait", detail=str(error))
            with anyio.move_on_after(_SECONDS_BETWEEN_LOOKS):
                await queued.wait()

    async def _run(self, job: ClaimedJob) -> None:
        progress = _LatestProgress()
        try:
            with anyio.CancelScope() as scope:
                self._running[job.id] = scope
                async with anyio.create_task_group() as group:
                    group.start_soon(self._hold, job, progress, scope)
                    outcome = await self._outcome(job, progress)
                    group.cancel_scope.cancel()
            if scope.cancelled_caught:
                return
            if outcome is not None:
                finish = partial(self._store.finish, job.id, self._owner, outcome)
                await to_thread.run_sync(finish)
                return
            await to_thread.run_sync(self._store.release, job.id, self._owner)
            await anyio.sleep(1.0)
        except anyio.get_cancelled_exc_class():
            # the service stops: another process may go on at once
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._store.release, job.id, self._owner)
            raise
        finally:
            self._running.pop(job.id, None)

    async def _hold(
        self, job: ClaimedJob, progress: "_LatestProgress", scope: anyio.CancelScope
    ) -> None:
        """Extend the job's lease, and end the job when it is not this process's any more."""
        next_extension = anyio.current_time() + _SECONDS_BETWEEN_EXTENSIONS
        while True:
            await anyio.sleep(_SECONDS_BETWEEN_LOOKS)
            try:
                if anyio.current_time() < next_extension:
                    look = partial(self._store.is_owned, job.id, self._owner)
                else:
                    look = partial(self._store.extend, job.id, self._owner, LEASE, progress.share)
                    next_extension = anyio.current_time() + _SECONDS_BETWEEN_EXTENSIONS
                is_held = await to_thread.run_sync(look)
            except StoreUnavailable:
                continue
            if not is_held:
                scope.cancel()

    async def _outcome(self, job: ClaimedJob, progress: "_LatestProgress") -> Outcome | None:
        """Return how the job ended; None if the service is too busy and must try again."""
        if job.attempts > MAX_ATTEMPTS:
            detail = f"the service ended {MAX_ATTEMPTS} times while it ran the job"
            return Outcome(problem=_problem("internal_error", detail, job))
        try:
            with collect_timings():
                return Outcome(result=await self._classify(job, progress))
        except KinolexError as error:
            if error.code in KINDS and KINDS[error.code].status != 503:
                return Outcome(problem=_problem(error.code, str(error), job))
            if error.code == "deadline_exceeded":
                return Outcome(problem=_problem(error.code, str(error), job))
            self._log.info("job_waits", job=job.id, code=error.code)
            return None
        except Exception:  # noqa: BLE001  # the caller must learn that the job has ended
            self._log.exception("job_failed", job=job.id)
            detail = "the service failed; its log has the details under the job's id"
            return Outcome(problem=_problem("internal_error", detail, job))

    async def _classify(self, job: ClaimedJob, progress: "_LatestProgress") -> dict[str, Any]:
        request = _request_of(job.request)
        settings = self._settings
        async with UploadBuffers(
            settings.upload_dir,
            settings.upload_memory_bytes,
            max_bytes=settings.max_upload_bytes,
        ) as buffers:
            [video] = await buffers.receive(_pieces(self._store.video(job.id)))
            pools, charged = await self._pools(job), self._charged.setdefault(job.id, set())
            with charged_to(self._access.quotas, pools, charged):
                classified = await self._service.classify(video, request, progress.note)
            kept = await self._videos.keep(classified, request, job.id)
        return self._to_json(classified, job.sha256, kept, job.id, stage_seconds())

    async def _pools(self, job: ClaimedJob) -> tuple[Pool, ...]:
        """Return the quotas of the key that the job was created with."""
        if job.key_id is None:
            return ()
        key = await to_thread.run_sync(self._access.store.find, job.key_id)
        return () if key is None else key.pools


class _LatestProgress:
    """The share 0..1 of a job's windows that are done."""

    def __init__(self) -> None:
        self.share = 0.0

    async def note(self, progress: Progress) -> None:
        self.share = progress.done / progress.total


def request_json(request: ClassifyRequest) -> dict[str, Any]:
    """Return a request as JSON for the store."""
    return asdict(request)


def _request_of(stored: Mapping[str, Any]) -> ClassifyRequest:
    return ClassifyRequest(**{**stored, "labels": tuple(stored["labels"])})


def _problem(code: str, detail: str, job: ClaimedJob) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(problem_document(code, detail, job.id))
    return document


async def _pieces(chunks: Iterator[bytes]) -> AsyncGenerator[list[Piece]]:
    while (chunk := await to_thread.run_sync(next, chunks, b"")) != b"":
        yield [(0, chunk)]
