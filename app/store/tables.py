"""The tables behind the labels: one SQLAlchemy model for SQLite and PostgreSQL.

Every row that a reader copies into its index carries the revision of its set that wrote it, so
that a reader who stands at revision r asks for what is newer than r and nothing else.
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

# SQLite compares text by bytes; PostgreSQL must too, or pages would depend on the host's locale.
_BYTEWISE = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite numbers rows by itself only in a column of exactly this type.
_ROW_ID = BigInteger().with_variant(Integer, "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC; SQLite keeps no zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC before it is stored."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware again after it is read."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can drop what another one made."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class LabelSetRow(Base):
    """A label set. A deleted one keeps its row, so that its revisions never run backwards."""

    __tablename__ = "label_sets"

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    name: Mapped[str] = mapped_column(_BYTEWISE, unique=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    # removals up to this revision are no longer listed: an older reader must read the whole set
    complete_since: Mapped[int] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)
    deleted: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LabelRow(Base):
    """A label of a set, identified in it by its key (the casefolded clean name)."""

    __tablename__ = "labels"
    __table_args__ = (
        UniqueConstraint("set_id", "key"),
        Index(None, "set_id", "revision"),
    )

    id: Mapped[int] = mapped_column(_ROW_ID, primary_key=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("label_sets.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(_BYTEWISE)
    name: Mapped[str] = mapped_column(Text)
    prompts: Mapped[list[str]] = mapped_column(JSON)
    aliases: Mapped[list[str]] = mapped_column(JSON)
    description: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(Text)
    threshold: Mapped[float | None] = mapped_column(Float)
    enabled: Mapped[bool] = mapped_column(Boolean)
    # not `metadata`: SQLAlchemy keeps that name for itself
    extra: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    # name, aliases and description casefolded, for the text search
    search_text: Mapped[str] = mapped_column(Text)
    # digest of everything that the prototypes are made from
    text_hash: Mapped[str] = mapped_column(String(64))
    revision: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PrototypeRow(Base):
    """A label's prototypes in one text space; a label may have them in several.

    While replicas with an old and a new checkpoint run side by side, each finds its own.
    """

    __tablename__ = "prototypes"

    label_id: Mapped[int] = mapped_column(
        ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    text_space: Mapped[str] = mapped_column(_BYTEWISE, primary_key=True)
    # the label's text_hash when these were made; when it differs they are out of date
    text_hash: Mapped[str] = mapped_column(String(64))
    texts: Mapped[list[str]] = mapped_column(JSON)
    # (R, dim) and (R, 2) little-endian float32, R = number of texts
    vectors: Mapped[bytes] = mapped_column(LargeBinary)
    background: Mapped[bytes] = mapped_column(LargeBinary)


class ExampleRow(Base):
    """A video that shows a label, as its embedding alone.

    An embedding means nothing to another checkpoint: each is used by its own, in whatever text
    space that has.
    """

    __tablename__ = "examples"

    label_id: Mapped[int] = mapped_column(
        ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    video_space: Mapped[str] = mapped_column(_BYTEWISE, primary_key=True)
    # of the video's bytes: the same video twice is one example
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    # (dim,) little-endian float32
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RemovalRow(Base):
    """A label that is gone, kept so that readers at an older revision drop it too."""

    __tablename__ = "removals"
    __table_args__ = (Index(None, "set_id", "revision"),)

    set_id: Mapped[int] = mapped_column(
        ForeignKey("label_sets.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    key: Mapped[str] = mapped_column(_BYTEWISE, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(BigInteger)


def _table(row: type[Base]) -> Table:
    table = row.__table__
    assert isinstance(table, Table)
    return table


# the same tables for statements over whole rows, where columns go by their names
SETS = _table(LabelSetRow)
LABELS = _table(LabelRow)
PROTOTYPES = _table(PrototypeRow)
EXAMPLES = _table(ExampleRow)
