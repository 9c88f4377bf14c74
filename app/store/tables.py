"""The tables behind the labels: one SQLAlchemy model for SQLite and PostgreSQL.

Each row that is copied into an index has the set's revision at which it was written: a reader at
revision r selects the rows with a newer one.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

# SQLite compares text by bytes. PostgreSQL must too, or pages would depend on the host's locale.
BYTEWISE = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite generates ids only in a column of exactly this type.
ROW_ID = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC; SQLite stores no time zone, so reading adds it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC for storing."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Add the time zone after reading."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of the tables; names every constraint, so that migrations can drop it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class LabelSetRow(Base):
    """A label set. A deleted set keeps its row, so that its revisions never decrease."""

    __tablename__ = "label_sets"

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True)
    name: Mapped[str] = mapped_column(BYTEWISE, unique=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    # removals up to this revision are deleted: a reader at an older one must read the whole set
    complete_since: Mapped[int] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)
    deleted: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LabelRow(Base):
    """A label, identified in its set by its key (the folded clean name)."""

    __tablename__ = "labels"
    __table_args__ = (
        UniqueConstraint("set_id", "key"),
        Index(None, "set_id", "revision"),
    )

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("label_sets.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(BYTEWISE)
    name: Mapped[str] = mapped_column(Text)
    prompts: Mapped[list[str]] = mapped_column(JSON)
    aliases: Mapped[list[str]] = mapped_column(JSON)
    description: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(Text)
    threshold: Mapped[float | None] = mapped_column(Float)
    enabled: Mapped[bool] = mapped_column(Boolean)
    # not `metadata`: SQLAlchemy reserves that name
    extra: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    # name, aliases and description folded, for the text search
    search_text: Mapped[str] = mapped_column(Text)
    # digest of all texts that the prototypes are computed from
    text_hash: Mapped[str] = mapped_column(String(64))
    revision: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PrototypeRow(Base):
    """A label's prototypes in one text space; a label can have several rows.

    Replicas with an old and a new checkpoint can run at the same time, each with its own rows.
    """

    __tablename__ = "prototypes"

    label_id: Mapped[int] = mapped_column(
        ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    text_space: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    # the label's text_hash when these were computed; they are outdated when it differs
    text_hash: Mapped[str] = mapped_column(String(64))
    texts: Mapped[list[str]] = mapped_column(JSON)
    # (R, dim) and (R, 2) little-endian float32, R = number of texts
    vectors: Mapped[bytes] = mapped_column(LargeBinary)
    background: Mapped[bytes] = mapped_column(LargeBinary)


class ExampleRow(Base):
    """An example video of a label, stored as its embedding only.

    An embedding is used only by the checkpoint that computed it, with any text model.
    """

    __tablename__ = "examples"

    label_id: Mapped[int] = mapped_column(
        ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    video_space: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    # of the video's bytes: the same video is stored once
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    # (dim,) little-endian float32
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RemovalRow(Base):
    """A removed label, for readers at an older revision."""

    __tablename__ = "removals"
    __table_args__ = (Index(None, "set_id", "revision"),)

    set_id: Mapped[int] = mapped_column(
        ForeignKey("label_sets.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    key: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(BigInteger)


def table_of(row: type[Base]) -> Table:
    """Return a row class's table, for statements over whole rows with columns by name."""
    table = row.__table__
    assert isinstance(table, Table)
    return table


# the tables for statements over whole rows, with columns by name
SETS = table_of(LabelSetRow)
LABELS = table_of(LabelRow)
PROTOTYPES = table_of(PrototypeRow)
EXAMPLES = table_of(ExampleRow)
