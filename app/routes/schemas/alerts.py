"""JSON of alerts; field descriptions are part of OpenAPI."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from app.labels.fields import Name
from app.store.jobs import Alert


class NewAlert(BaseModel):
    """Words to watch for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    q: Name = Field(description="The words, as those of a search.")
    min_score: float = Field(gt=0, le=1, description="Minimum score of a span.")
    callback_url: str = Field(max_length=2_000, description="Where webhooks are sent.")


class AlertAnswer(BaseModel):
    """Words that are watched for in newly kept videos."""

    id: str
    q: str
    min_score: float
    callback_url: str
    created_at: datetime

    @classmethod
    def of(cls, alert: Alert) -> Self:
        """Make it from the store's value."""
        return cls(
            id=alert.id,
            q=alert.text,
            min_score=alert.min_score,
            callback_url=alert.callback_url,
            created_at=alert.created_at,
        )


class AlertsAnswer(BaseModel):
    """All alerts; there is one page."""

    items: list[AlertAnswer]
    next_page_token: str = Field(description="Always empty: there are at most 100 alerts.")
