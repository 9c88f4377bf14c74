"""The bodies of webhooks, and queuing them inside the transaction that they report."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from app.store.jobs.records import Alert, NewWebhook
from app.store.jobs.tables import WEBHOOKS
from app.store.writes import insert_into


def job_message(job_id: str, status: str, url: str) -> NewWebhook:
    """Return the message that a job has ended."""
    # a job ends once: its id makes the message's id
    return _message(f"msg_{job_id}", url, f"job.{status}", {"id": job_id, "status": status})


def alert_message(
    alert: Alert, cause: str, sha256: str, spans: Sequence[tuple[float, float, float]]
) -> NewWebhook:
    """Return the message that a video shows an alert's words, in (start, end, score) spans.

    `cause` names the work that keeps the video: a job that is run again sends the same message.
    """
    data = {
        "alert": {"id": alert.id, "q": alert.text, "min_score": alert.min_score},
        "video": {"sha256": sha256},
        "items": [{"start": start, "end": end, "score": score} for start, end, score in spans],
    }
    digest = hashlib.sha256(f"{alert.id} {sha256} {cause}".encode()).hexdigest()[:32]
    return _message(f"msg_{digest}", alert.callback_url, "alert.matched", data)


def queue(connection: Connection, messages: Iterable[NewWebhook]) -> None:
    """Queue messages that are not queued yet; they are sent if the transaction is committed."""
    now = datetime.now(UTC)
    rows = [
        {
            "id": each.id,
            "url": each.url,
            "body": each.body,
            "attempts": 0,
            "created_at": now,
            "next_at": now,
        }
        for each in messages
    ]
    if rows:
        connection.execute(insert_into(connection, WEBHOOKS).on_conflict_do_nothing(), rows)


def _message(webhook_id: str, url: str, kind: str, data: Mapping[str, Any]) -> NewWebhook:
    body = {"type": kind, "timestamp": datetime.now(UTC).isoformat(), "data": data}
    return NewWebhook(webhook_id, url, json.dumps(body))
