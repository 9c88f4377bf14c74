"""The store of webhooks: one process at a time sends each, until it is accepted or given up."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, delete, select, update

from app.store.database import reading, writing
from app.store.jobs.records import Webhook
from app.store.jobs.tables import WebhookRow


class WebhookStore:
    """Messages to send, in a database that processes and hosts share; thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def claim(self, attempt: timedelta, max_wait: timedelta) -> Webhook | None:
        """Take a message that is due; it is due again after `attempt` unless the store is told.

        No message waits longer than `max_wait`: one that is due after twice that time was written
        before the clock was set back, and is taken too.
        """
        now = datetime.now(UTC)
        is_due = (WebhookRow.next_at <= now) | (WebhookRow.next_at > now + 2 * max_wait)
        with reading(self._engine) as connection:
            # SQLite has one writer at a time: do not queue for it in vain
            if connection.execute(select(WebhookRow.id).where(is_due).limit(1)).first() is None:
                return None
        with writing(self._engine) as connection:
            webhook_id = connection.execute(
                select(WebhookRow.id)
                .where(is_due)
                .order_by(WebhookRow.next_at)
                .limit(1)
                .with_for_update(skip_locked=True)
            ).scalar_one_or_none()
            if webhook_id is None:
                return None
            row = connection.execute(
                update(WebhookRow)
                .where(WebhookRow.id == webhook_id)
                .values(next_at=now + attempt, attempts=WebhookRow.attempts + 1)
                .returning(
                    WebhookRow.id,
                    WebhookRow.url,
                    WebhookRow.body,
                    WebhookRow.attempts,
                    WebhookRow.created_at,
                )
            ).one()
        return Webhook(row.id, row.url, row.body, row.attempts - 1, row.created_at)

    def postpone(self, webhook_id: str, wait: timedelta) -> None:
        """Send the message again after a time."""
        with writing(self._engine) as connection:
            connection.execute(
                update(WebhookRow)
                .where(WebhookRow.id == webhook_id)
                .values(next_at=datetime.now(UTC) + wait)
            )

    def remove(self, webhook_id: str) -> None:
        """Send the message no more: it was accepted, or it is given up."""
        with writing(self._engine) as connection:
            connection.execute(delete(WebhookRow).where(WebhookRow.id == webhook_id))
