"""The tables of kept analyses.

Every write increments the archive's revision, and each analysis has the revision at which it was
written: a reader at revision r selects the rows with a newer one, and the removals.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables import BYTEWISE, ROW_ID, Base, UtcDateTime, table_of


class ArchiveRow(Base):
    """The state of the archive; there is one row, with the id 1."""

    __tablename__ = "archive"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(BigInteger)
    # removals up to this revision are deleted: a reader at an older one must read everything
    complete_since: Mapped[int] = mapped_column(BigInteger)
    # distinguishes the archives of two databases
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AnalysisRow(Base):
    """The analysis of one video by one checkpoint."""

    __tablename__ = "analyses"
    __table_args__ = (
        UniqueConstraint("sha256", "video_space"),
        Index(None, "video_space", "revision"),
        # has all columns that retention reads
        Index(None, "kept_at", "size_bytes"),
        # ids are not used again: an index in memory knows an analysis by its id
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    video_space: Mapped[str] = mapped_column(BYTEWISE)
    model_id: Mapped[str] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(BigInteger)
    kept_at: Mapped[datetime] = mapped_column(UtcDateTime)
    duration: Mapped[float] = mapped_column(Float)
    # of the classification that kept it; NULL for labels of a request
    label_set: Mapped[str | None] = mapped_column(BYTEWISE)
    # not `metadata`: SQLAlchemy reserves that name
    extra: Mapped[dict[str, str]] = mapped_column("metadata", JSON)
    # facts about the video, and about its windows
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    window_count: Mapped[int] = mapped_column(Integer)
    # of the arrays in the table below
    size_bytes: Mapped[int] = mapped_column(BigInteger)


class AnalysisVectorsRow(Base):
    """The arrays of an analysis, apart from the facts so that lists of videos are read fast."""

    __tablename__ = "analysis_vectors"

    analysis_id: Mapped[int] = mapped_column(
        ForeignKey("analyses.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # times of the frames, and warnings
    frames: Mapped[dict[str, Any]] = mapped_column(JSON)
    # (window_count, 2) little-endian float64: start and end of each window, in seconds
    spans: Mapped[bytes] = mapped_column(LargeBinary)
    # (window_count, dim) and (dim,) little-endian float16
    windows: Mapped[bytes] = mapped_column(LargeBinary)
    whole: Mapped[bytes] = mapped_column(LargeBinary)


class AnalysisChunksRow(Base):
    """The chunks of an analysis (`app.question.KeptChunks`), which only other windows need.

    Analyses of releases before this table have none.
    """

    __tablename__ = "analysis_chunks"

    analysis_id: Mapped[int] = mapped_column(
        ForeignKey("analyses.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    # (C,) little-endian float64 seconds, (C,) little-endian float32, (C, F) int8
    centres: Mapped[bytes] = mapped_column(LargeBinary)
    scales: Mapped[bytes] = mapped_column(LargeBinary)
    features: Mapped[bytes] = mapped_column(LargeBinary)


class AnalysisRemovalRow(Base):
    """A removed analysis, for readers at an older revision."""

    __tablename__ = "analysis_removals"
    __table_args__ = (Index(None, "revision"),)

    analysis_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    window_count: Mapped[int] = mapped_column(Integer)
    revision: Mapped[int] = mapped_column(BigInteger)


ARCHIVE = table_of(ArchiveRow)
ANALYSES = table_of(AnalysisRow)
VECTORS = table_of(AnalysisVectorsRow)
CHUNKS = table_of(AnalysisChunksRow)
