"""The SQL that keeps and removes analyses."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from app.question import Analysis
from app.store.analyses.rows import fact_values, vectors_values
from app.store.analyses.tables import ANALYSES, ARCHIVE, VECTORS, AnalysisRemovalRow, AnalysisRow
from app.store.writes import insert_into

# Number of revisions for which removals are kept; readers further behind read everything.
REVISIONS_OF_REMOVALS = 10_000


def keep(
    connection: Connection,
    analysis: Analysis,
    label_set: str | None,
    metadata: Mapping[str, str],
) -> int:
    """Store an analysis, and remove the same checkpoint's older one; return the number removed."""
    revision, now = _next_revision(connection)
    older = select(AnalysisRow.id).where(
        AnalysisRow.sha256 == analysis.sha256, AnalysisRow.video_space == analysis.video_space
    )
    removed = _remove(connection, older, revision)
    facts, vectors = fact_values(analysis, label_set, metadata), vectors_values(analysis)
    size = sum(len(vectors[name]) for name in ("spans", "windows", "whole"))
    analysis_id = connection.execute(
        insert(ANALYSES)
        .values(**facts, size_bytes=size, revision=revision, kept_at=now)
        .returning(ANALYSES.c.id)
    ).scalar_one()
    connection.execute(insert(VECTORS).values(**vectors, analysis_id=analysis_id))
    return removed


def remove_video(connection: Connection, sha256: str) -> int:
    """Remove a video's analyses by all checkpoints; return their number."""
    revision, _ = _next_revision(connection)
    ids = select(AnalysisRow.id).where(AnalysisRow.sha256 == sha256)
    return _remove(connection, ids, revision)


def remove_old(connection: Connection, max_age: timedelta, max_bytes: int) -> int:
    """Remove analyses over `max_age`, then the oldest until the rest has at most `max_bytes`."""
    revision, now = _next_revision(connection)
    aged = select(AnalysisRow.id).where(AnalysisRow.kept_at < now - max_age)
    removed = _remove(connection, aged, revision)
    newest_first = (AnalysisRow.kept_at.desc(), AnalysisRow.id.desc())
    summed = select(
        AnalysisRow.id,
        func.sum(AnalysisRow.size_bytes).over(order_by=newest_first).label("total"),
    ).subquery()
    excess = select(summed.c.id).where(summed.c.total > max_bytes)
    return removed + _remove(connection, excess, revision)


def is_over(connection: Connection, max_age: timedelta, max_bytes: int) -> bool:
    """Whether `remove_old` would remove something."""
    count, oldest, total = connection.execute(
        select(
            func.count(AnalysisRow.id),
            func.min(AnalysisRow.kept_at),
            func.sum(AnalysisRow.size_bytes),
        )
    ).one()
    return bool(count and (oldest < datetime.now(UTC) - max_age or total > max_bytes))


def _next_revision(connection: Connection) -> tuple[int, datetime]:
    """Lock the archive until the transaction ends, and increment its revision."""
    now = datetime.now(UTC)
    connection.execute(
        insert_into(connection, ARCHIVE)
        .values(id=1, revision=0, complete_since=0, created_at=now)
        .on_conflict_do_nothing()
    )
    row = connection.execute(
        update(ARCHIVE)
        .values(revision=ARCHIVE.c.revision + 1)
        .returning(ARCHIVE.c.revision, ARCHIVE.c.complete_since)
    ).one()
    oldest = row.revision - REVISIONS_OF_REMOVALS
    if oldest > row.complete_since:
        connection.execute(delete(AnalysisRemovalRow).where(AnalysisRemovalRow.revision <= oldest))
        connection.execute(update(ARCHIVE).values(complete_since=oldest))
    return row.revision, now


def _remove(connection: Connection, ids: Select[int], revision: int) -> int:
    gone = (
        delete(AnalysisRow)
        .where(AnalysisRow.id.in_(ids))
        .returning(AnalysisRow.id, AnalysisRow.window_count)
    )
    removed = connection.execute(gone).all()
    if removed:
        connection.execute(
            insert(AnalysisRemovalRow),
            [
                {"analysis_id": row.id, "window_count": row.window_count, "revision": revision}
                for row in removed
            ],
        )
    return len(removed)
