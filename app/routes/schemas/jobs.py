"""JSON about jobs; field descriptions are part of OpenAPI."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, Field

from app.routes.schemas.options import ClassifyOptions
from app.store.jobs import Job, JobStatus


class JobOptions(ClassifyOptions):
    """Options of `POST /jobs`."""

    callback_url: str | None = Field(
        None,
        max_length=2_000,
        description="Address that is sent a signed webhook when the job has ended.",
    )


class JobAnswer(BaseModel):
    """A job: a classification that outlives its request."""

    id: str
    status: JobStatus
    sha256: str = Field(description="SHA-256 of the video file in hex.")
    progress: float = Field(description="Share of the work that is done, 0 to 1.")
    result: dict[str, Any] | None = Field(
        description="The answer of `POST /classify`; null unless the job succeeded, and in lists."
    )
    problem: dict[str, Any] | None = Field(
        description="The problem document of a job that failed, else null."
    )
    callback_url: str | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Make it from the store's value."""
        return cls.model_validate(job, from_attributes=True)


class JobsAnswer(BaseModel):
    """A page of jobs, newest first, without their results."""

    items: list[JobAnswer]
    next_page_token: str = Field(description="Token of the next page; empty on the last one.")
