"""The SQL that keeps and removes analyses."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from app.question import Analysis
from app.store.analyses.rows import chunks_values, fact_values, vectors_values
from app.store.analyses.tables import (
    ANALYSES,
    ARCHIVE,
    CHUNKS,
    VECTORS,
    AnalysisRemovalRow,
    AnalysisRow,
)
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
    _insert(connection, [(analysis, metadata)], label_set, revision, now)
    return removed


def keep_new(connection: Connection, analyses: Sequence[tuple[Analysis, Mapping[str, str]]]) -> int:
    """Store analyses with their metadata, without those that are there; return the number stored.

    The analyses are of videos that differ.
    """
    revision, now = _next_revision(connection)
    names = [analysis.sha256 for analysis, _ in analyses]
    stored = select(AnalysisRow.sha256, AnalysisRow.video_space).where(
        AnalysisRow.sha256.in_(names)
    )
    there = {(row.sha256, row.video_space) for row in connection.execute(stored)}
    new = [each for each in analyses if (each[0].sha256, each[0].video_space) not in there]
    if new:
        _insert(connection, new, None, revision, now)
    return len(new)


def _insert(
    connection: Connection,
    analyses: Sequence[tuple[Analysis, Mapping[str, str]]],
    label_set: str | None,
    revision: int,
    now: datetime,
) -> None:
    arrays = [vectors_values(analysis) for analysis, _ in analyses]
    chunks = [chunks_values(analysis) for analysis, _ in analyses]
    facts = [
        fact_values(analysis, label_set, metadata)
        | {
            "size_bytes": sum(len(vectors[name]) for name in ("spans", "windows", "whole"))
            + sum(map(len, kept.values())),
            "revision": revision,
            "kept_at": now,
        }
        for (analysis, metadata), vectors, kept in zip(analyses, arrays, chunks, strict=True)
    ]
    inserted = insert(ANALYSES).returning(ANALYSES.c.id, sort_by_parameter_order=True)
    ids = connection.execute(inserted, facts).scalars().all()
    rows = [
        {**vectors, "analysis_id": analysis_id}
        for vectors, analysis_id in zip(arrays, ids, strict=True)
    ]
    connection.execute(insert(VECTORS), rows)
    chunk_rows = [
        {**kept, "analysis_id": analysis_id}
        for kept, analysis_id in zip(chunks, ids, strict=True)
        if kept
    ]
    if chunk_rows:
        connection.execute(insert(CHUNKS), chunk_rows)


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
