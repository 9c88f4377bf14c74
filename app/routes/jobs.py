"""Routes for jobs: create, list, read, cancel."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from app.access.grants import Grant
from app.jobs.runner import request_json
from app.question import ClassifyRequest
from app.routes.addressing import PageSize, PageToken, known_parameters, read_place, write_token
from app.routes.callbacks import checked_callback
from app.routes.dependencies import RequestState, StateDep
from app.routes.permissions import check_question
from app.routes.schemas.jobs import JobAnswer, JobOptions, JobsAnswer
from app.routes.schemas.options import read_request
from app.routes.video_body import video_body
from app.store.jobs import JobStatus, NewJob
from app.upload.buffer import SealedFile
from app.upload.intake import receive_video

router = APIRouter(tags=["jobs"])

# A piece of a video in the database; a write of one holds SQLite's lock for milliseconds.
_PIECE_BYTES = 1024 * 1024

_JOB_ID = "^[0-9a-f]{32}$"

JobId = Annotated[str, Path(pattern=_JOB_ID, description="Id of the job.")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="With the same key and the same request, the same job is returned.",
    ),
]


@router.post(
    "/jobs",
    summary="Tag a video after the request",
    status_code=202,
    openapi_extra=video_body(JobOptions),
)
async def create_job(
    request: Request,
    response: Response,
    state: StateDep,
    idempotency_key: IdempotencyKey = None,
) -> JobAnswer:
    """Stores the video and the options, and answers at once; any process runs the job.

    Send video and options as for `POST /classify`. The job survives a restart of the service.
    """
    query = request.query_params.multi_items()
    # wrong options in the query are refused before the video is received
    read_request(JobOptions, query, (), state["settings"])
    async with receive_video(request, state["settings"], state["admission"]) as upload:
        asked, callback_url = _read(query, upload.fields, state)
        new = _new_job(asked, callback_url, upload.video, idempotency_key, state["grant"])
        create = partial(state["jobs"].create, new, _pieces(upload.video))
        job = await to_thread.run_sync(create)
    state["job_runner"].wake()
    response.headers["Location"] = f"/jobs/{job.id}"
    return JobAnswer.of(job)


@router.get("/jobs", summary="List jobs", dependencies=[Depends(known_parameters)])
async def list_jobs(
    state: StateDep,
    status: Annotated[JobStatus | None, Query(description="Only jobs of this status.")] = None,
    page_size: PageSize = 100,
    page_token: PageToken = "",
) -> JobsAnswer:
    """Returns a page of jobs, newest first, without their results."""
    query = f"jobs {status}"
    before = read_place(page_token, query, _read_place)
    read = partial(state["jobs"].page, status, before=before, limit=page_size + 1)
    jobs = await to_thread.run_sync(read)
    more = None
    if len(jobs) > page_size:
        end = jobs[page_size - 1]
        more = json.dumps([end.created_at.isoformat(), end.id])
    return JobsAnswer(
        items=[JobAnswer.of(job) for job in jobs[:page_size]],
        next_page_token=write_token(more, query),
    )


def _read_place(last: str) -> tuple[datetime, str]:
    created_at, job_id = json.loads(last)
    if not re.fullmatch(_JOB_ID, job_id):
        raise ValueError("no id of a job")
    return datetime.fromisoformat(created_at).astimezone(UTC), job_id


@router.get("/jobs/{job_id}", summary="Read a job", dependencies=[Depends(known_parameters)])
async def get_job(state: StateDep, job_id: JobId) -> JobAnswer:
    """Returns the job, with its result once it has succeeded."""
    return JobAnswer.of(await to_thread.run_sync(state["jobs"].get, job_id))


@router.delete("/jobs/{job_id}", summary="Cancel a job", dependencies=[Depends(known_parameters)])
async def cancel_job(state: StateDep, job_id: JobId) -> JobAnswer:
    """Cancels a job that has not ended, and stops its decoding; one that has ended stays."""
    job = await to_thread.run_sync(state["jobs"].cancel, job_id)
    state["job_runner"].stop(job_id)
    return JobAnswer.of(job)


def _read(
    query: list[tuple[str, str]], fields: tuple[tuple[str, str], ...], state: RequestState
) -> tuple[ClassifyRequest, str | None]:
    settings = state["settings"]
    asked, options = read_request(JobOptions, query, fields, settings)
    check_question(asked, state["grant"])
    if options.callback_url is None:
        return asked, None
    part = "form" if fields else "query"
    return asked, checked_callback(options.callback_url, part, settings)


def _new_job(
    asked: ClassifyRequest,
    callback_url: str | None,
    video: SealedFile,
    key: str | None,
    grant: Grant,
) -> NewJob:
    stored = request_json(asked)
    described = json.dumps([stored, callback_url, video.sha256], sort_keys=True)
    fingerprint = hashlib.sha256(described.encode()).hexdigest()
    key_id = None if grant.key is None else grant.key.id
    return NewJob(stored, video.sha256, fingerprint, key, callback_url, key_id)


def _pieces(video: SealedFile) -> Iterator[bytes]:
    for offset in range(0, video.size_bytes, _PIECE_BYTES):
        yield os.pread(video.fd, _PIECE_BYTES, offset)
