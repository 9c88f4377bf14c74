"""The store of alerts: words that are watched for in newly kept videos."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, Row, delete, func, insert, select

from app.store.database import reading, writing
from app.store.jobs.records import Alert, AlertNotFound, TooManyAlerts
from app.store.jobs.tables import ALERTS, AlertRow

# Every newly kept video is compared with all alerts.
MAX_ALERTS = 100


class AlertStore:
    """Alerts in a database that processes and hosts share; thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, text: str, min_score: float, callback_url: str) -> Alert:
        """Store an alert. Raises TooManyAlerts."""
        alert_id = uuid4().hex
        with writing(self._engine) as connection:
            count = connection.execute(select(func.count()).select_from(AlertRow)).scalar_one()
            if count >= MAX_ALERTS:
                raise TooManyAlerts(f"there may be {MAX_ALERTS} alerts")
            connection.execute(
                insert(ALERTS).values(
                    id=alert_id,
                    text=text,
                    min_score=min_score,
                    callback_url=callback_url,
                    created_at=datetime.now(UTC),
                )
            )
        return self.get(alert_id)

    def get(self, alert_id: str) -> Alert:
        """Return an alert. Raises AlertNotFound."""
        with reading(self._engine) as connection:
            row = connection.execute(select(ALERTS).where(ALERTS.c.id == alert_id)).one_or_none()
        if row is None:
            raise AlertNotFound(f"there is no alert {alert_id!r}")
        return _alert(row)

    def all(self) -> list[Alert]:
        """Return all alerts, newest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(ALERTS).order_by(ALERTS.c.created_at.desc(), ALERTS.c.id)
            )
            return [_alert(row) for row in rows]

    def remove(self, alert_id: str) -> None:
        """Remove an alert. Raises AlertNotFound."""
        with writing(self._engine) as connection:
            gone = connection.execute(delete(AlertRow).where(AlertRow.id == alert_id))
            if not gone.rowcount:
                raise AlertNotFound(f"there is no alert {alert_id!r}")


def _alert(row: Row[Any]) -> Alert:
    return Alert(row.id, row.text, row.min_score, row.callback_url, row.created_at)
