"""The tables of API keys and of their use."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, String, Table, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables import BYTEWISE, Base, UtcDateTime


class ApiKeyRow(Base):
    """An API key. A revoked key keeps its row: once there was a key, requests need one."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    # SHA-256 of the secret in hex; the secret itself is not stored
    digest: Mapped[str] = mapped_column(String(64))
    # the secret before the latest rotation, accepted until `former_until`
    former_digest: Mapped[str | None] = mapped_column(String(64))
    former_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    # NULL: every label set
    label_sets: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    requests_per_minute: Mapped[int | None] = mapped_column(BigInteger)
    requests_per_day: Mapped[int | None] = mapped_column(BigInteger)
    video_seconds_per_minute: Mapped[int | None] = mapped_column(BigInteger)
    video_seconds_per_day: Mapped[int | None] = mapped_column(BigInteger)
    created_by: Mapped[str | None] = mapped_column(BYTEWISE)
    # ids of the keys with limits that this key comes from: their limits apply to all together
    limited_by: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    rotated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ApiUseRow(Base):
    """What a key has used of one of its quotas in the quota's current window."""

    __tablename__ = "api_use"

    key_id: Mapped[str] = mapped_column(
        ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True
    )
    quota: Mapped[str] = mapped_column(String(32), primary_key=True)
    # number of the window since the epoch
    window: Mapped[int] = mapped_column(BigInteger)
    used: Mapped[float] = mapped_column(Float)


def _table(row: type[Base]) -> Table:
    table = row.__table__
    assert isinstance(table, Table)
    return table


KEYS = _table(ApiKeyRow)
USE = _table(ApiUseRow)
