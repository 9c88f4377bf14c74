"""Values and errors of jobs and webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from model import KinolexError

JobStatus: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled"]

FINISHED: tuple[JobStatus, ...] = ("succeeded", "failed", "cancelled")


class JobNotFound(KinolexError):
    """There is no job with this id, or it was deleted after its time."""

    code = "job_not_found"


class KeyReused(KinolexError):
    """The idempotency key belongs to another request."""

    code = "idempotency_key_reused"


class KeyInUse(KinolexError):
    """Another request with the idempotency key is being received."""

    code = "idempotency_key_in_use"


class AlertNotFound(KinolexError):
    """There is no alert with this id."""

    code = "alert_not_found"


class TooManyAlerts(KinolexError):
    """There are as many alerts as there may be."""

    code = "too_many_alerts"


@dataclass(frozen=True, slots=True)
class Alert:
    """Words to watch for in newly kept videos, and the minimum score of a span."""

    id: str
    text: str
    min_score: float
    callback_url: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A message to send; `body` is JSON."""

    id: str
    url: str
    body: str


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to create; `request` is JSON. `fingerprint` is of the video and all options.

    `key_id` is the API key that is charged for the video.
    """

    request: Mapping[str, Any]
    sha256: str
    fingerprint: str
    idempotency_key: str | None = None
    callback_url: str | None = None
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as a caller sees it; `progress` is 0..1, `result` and `problem` are JSON."""

    id: str
    status: JobStatus
    sha256: str
    progress: float
    result: Mapping[str, Any] | None
    problem: Mapping[str, Any] | None
    created_at: datetime
    finished_at: datetime | None
    callback_url: str | None


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this process may run until its lease ends."""

    id: str
    request: Mapping[str, Any]
    sha256: str
    attempts: int
    key_id: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: with a result or a problem, both JSON."""

    result: Mapping[str, Any] | None = None
    problem: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """A message to send, and how often that was tried before."""

    id: str
    url: str
    body: str
    attempts: int
    created_at: datetime
