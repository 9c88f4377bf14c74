"""The tables of jobs, of their videos, and of webhooks."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables import BYTEWISE, Base, UtcDateTime, table_of


class JobRow(Base):
    """A job: a question about a video that is answered after the request.

    A running job belongs to the process `owner` until `lease_until`; after that any may claim it.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "status", "created_at"),
        Index(None, "created_at", "id"),
        Index(None, "finished_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    # receiving, queued, running, succeeded, failed, cancelled
    status: Mapped[str] = mapped_column(BYTEWISE)
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    sha256: Mapped[str] = mapped_column(String(64))
    progress: Mapped[float] = mapped_column(Float)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    attempts: Mapped[int] = mapped_column(Integer)
    owner: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    idempotency_key: Mapped[str | None] = mapped_column(BYTEWISE, unique=True)
    # of the video and all options, to tell whether a key is used for the same request
    fingerprint: Mapped[str] = mapped_column(String(64))
    callback_url: Mapped[str | None] = mapped_column(Text)
    # the API key whose quotas the video counts against
    key_id: Mapped[str | None] = mapped_column(BYTEWISE)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class JobChunkRow(Base):
    """A part of the video of a job that has not finished."""

    __tablename__ = "job_chunks"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class WebhookRow(Base):
    """A message to send until it is accepted; its id is the `webhook-id` of every attempt."""

    __tablename__ = "webhooks"
    __table_args__ = (Index(None, "next_at"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # when to send it next, also if the process that sends it now dies
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AlertRow(Base):
    """Words that are watched for in newly kept videos."""

    __tablename__ = "alerts"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    min_score: Mapped[float] = mapped_column(Float)
    callback_url: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


JOBS = table_of(JobRow)
CHUNKS = table_of(JobChunkRow)
WEBHOOKS = table_of(WebhookRow)
ALERTS = table_of(AlertRow)
