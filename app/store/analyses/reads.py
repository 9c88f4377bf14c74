"""Queries that read kept analyses."""

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Connection, func, select

from app.question import Analysis, KeptChunks
from app.store.analyses.records import (
    ArchiveChanges,
    ArchiveState,
    KeptVideo,
    KeptWindows,
    VideoFilter,
    VideoNotFound,
)
from app.store.analyses.rows import (
    ALL_COLUMNS,
    FACT_COLUMNS,
    analysis_of,
    kept_chunks,
    kept_video,
    unpack_windows,
)
from app.store.analyses.tables import (
    ARCHIVE,
    CHUNKS,
    AnalysisRemovalRow,
    AnalysisRow,
    AnalysisVectorsRow,
)

# Identifiers per IN list; SQLite allows 32,766 variables per statement.
_MAX_IDS = 5_000
_VECTORS = AnalysisVectorsRow.analysis_id == AnalysisRow.id
_WITH_VECTORS = select(*ALL_COLUMNS).join(AnalysisVectorsRow, _VECTORS)


def archive_state(connection: Connection) -> ArchiveState:
    """Return the archive's state; revision 0 before the first write."""
    row = connection.execute(select(ARCHIVE)).one_or_none()
    if row is None:
        return ArchiveState(0, 0, None)
    return ArchiveState(row.revision, row.complete_since, row.created_at)


def all_of_video(connection: Connection, sha256: str) -> list[KeptVideo]:
    """Return the analyses of a video by all checkpoints, newest first. Raises VideoNotFound."""
    rows = connection.execute(
        select(*FACT_COLUMNS)
        .where(AnalysisRow.sha256 == sha256)
        .order_by(AnalysisRow.kept_at.desc(), AnalysisRow.id.desc())
    ).all()
    if not rows:
        raise VideoNotFound(f"no analysis of the video with sha256 {sha256!r} is kept")
    return [kept_video(row) for row in rows]


def one_analysis(connection: Connection, sha256: str, video_space: str) -> Analysis | None:
    """Return a checkpoint's analysis of a video, None if it has none."""
    row = connection.execute(
        _WITH_VECTORS.where(AnalysisRow.sha256 == sha256, AnalysisRow.video_space == video_space)
    ).one_or_none()
    return None if row is None else analysis_of(row)


def chunks_of(connection: Connection, sha256: str, video_space: str) -> KeptChunks | None:
    """Return the chunks of a checkpoint's analysis, None if none are kept."""
    row = connection.execute(
        select(CHUNKS)
        .join(AnalysisRow, AnalysisRow.id == CHUNKS.c.analysis_id)
        .where(AnalysisRow.sha256 == sha256, AnalysisRow.video_space == video_space)
    ).one_or_none()
    return None if row is None else kept_chunks(row)


def page_of_videos(
    connection: Connection, wanted: VideoFilter, before: int | None, limit: int
) -> list[KeptVideo]:
    """Return up to `limit` kept videos with ids under `before`, newest first."""
    statement = select(*FACT_COLUMNS).where(*conditions(wanted))
    if before is not None:
        statement = statement.where(AnalysisRow.id < before)
    rows = connection.execute(statement.order_by(AnalysisRow.id.desc()).limit(limit))
    return [kept_video(row) for row in rows]


def matching_ids(connection: Connection, video_space: str, wanted: VideoFilter) -> frozenset[int]:
    """Return the ids of a checkpoint's analyses that a filter selects."""
    statement = select(AnalysisRow.id).where(
        AnalysisRow.video_space == video_space, *conditions(wanted)
    )
    return frozenset(connection.execute(statement).scalars())


def videos_by_id(
    connection: Connection, ids: Sequence[int]
) -> dict[int, tuple[KeptVideo, Analysis]]:
    """Return facts and analyses by id; ids that were removed are left out."""
    found: dict[int, tuple[KeptVideo, Analysis]] = {}
    for start in range(0, len(ids), _MAX_IDS):
        rows = connection.execute(
            _WITH_VECTORS.where(AnalysisRow.id.in_(ids[start : start + _MAX_IDS]))
        )
        found.update((row.id, (kept_video(row), analysis_of(row))) for row in rows)
    return found


def changes_after(connection: Connection, video_space: str, since: int) -> ArchiveChanges:
    """Return what was written after the revision `since` (-1: everything)."""
    removed = select(AnalysisRemovalRow.analysis_id, AnalysisRemovalRow.window_count).where(
        AnalysisRemovalRow.revision > since
    )
    counted = select(
        func.count(AnalysisRow.id), func.coalesce(func.sum(AnalysisRow.window_count), 0)
    ).where(AnalysisRow.video_space == video_space)
    videos, windows = connection.execute(counted).one()
    return ArchiveChanges(
        archive_state(connection),
        tuple((row.analysis_id, row.window_count) for row in connection.execute(removed)),
        _windows_after(connection, video_space, since),
        videos,
        int(windows),
    )


def _windows_after(connection: Connection, video_space: str, since: int) -> Iterator[KeptWindows]:
    statement = (
        select(AnalysisRow.id, AnalysisRow.window_count, AnalysisVectorsRow.windows)
        .join(AnalysisVectorsRow, _VECTORS)
        .where(AnalysisRow.video_space == video_space, AnalysisRow.revision > since)
        .order_by(AnalysisRow.id)
        .execution_options(yield_per=100)
    )
    # close the result even if it is not read to the end: PostgreSQL keeps a cursor open for it
    with connection.execute(statement) as rows:
        for row in rows:
            yield KeptWindows(row.id, unpack_windows(row.windows, row.window_count))


def conditions(wanted: VideoFilter) -> list[ColumnElement[bool]]:
    """Return the conditions of a filter."""
    found: list[ColumnElement[bool]] = []
    if wanted.kept_after is not None:
        found.append(AnalysisRow.kept_at >= wanted.kept_after)
    if wanted.kept_before is not None:
        found.append(AnalysisRow.kept_at < wanted.kept_before)
    if wanted.min_duration is not None:
        found.append(AnalysisRow.duration >= wanted.min_duration)
    if wanted.max_duration is not None:
        found.append(AnalysisRow.duration <= wanted.max_duration)
    if wanted.label_set is not None:
        found.append(AnalysisRow.label_set == wanted.label_set)
    for name, value in wanted.metadata.items():
        found.append(AnalysisRow.extra[name].as_string() == value)
    return found
