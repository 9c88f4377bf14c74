"""The store of kept analyses, in the database of the labels."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import Engine

from app.question import Analysis, KeptChunks
from app.store.analyses.reads import (
    all_of_video,
    archive_state,
    changes_after,
    chunks_of,
    matching_ids,
    one_analysis,
    page_of_videos,
    videos_by_id,
)
from app.store.analyses.records import (
    ArchiveChanges,
    ArchiveState,
    KeptVideo,
    VideoFilter,
    VideoNotFound,
)
from app.store.analyses.writes import is_over, keep, keep_new, remove_old, remove_video
from app.store.database import erasing, reading, writing
from app.store.jobs import NewWebhook, queue


class AnalysisStore:
    """Kept analyses in a database that processes and hosts share; thread-safe.

    Methods block on the disk: call them from a worker thread. All raise StoreUnavailable when the
    database does not answer.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def engine(self) -> Engine:
        """The database engine, for an index that follows the analyses."""
        return self._engine

    def state(self) -> ArchiveState:
        """Return the archive's revision."""
        with reading(self._engine) as connection:
            return archive_state(connection)

    def keep(
        self,
        analysis: Analysis,
        *,
        label_set: str | None = None,
        metadata: Mapping[str, str] | None = None,
        webhooks: Sequence[NewWebhook] = (),
    ) -> None:
        """Store an analysis, in place of that of the same video by the same checkpoint.

        The `webhooks` are sent if it is stored.
        """
        with erasing(self._engine) as (connection, erase):
            if keep(connection, analysis, label_set, metadata or {}):
                erase()
            queue(connection, webhooks)

    def keep_new(self, analyses: Sequence[tuple[Analysis, Mapping[str, str]]]) -> int:
        """Store analyses of different videos with their metadata, all or none of them.

        Those that are there, by the same checkpoint, stay as they are. Returns the number stored.
        """
        with writing(self._engine) as connection:
            return keep_new(connection, analyses)

    def is_over(self, max_age: timedelta, max_bytes: int) -> bool:
        """Whether `remove_old` would remove something."""
        with reading(self._engine) as connection:
            return is_over(connection, max_age, max_bytes)

    def get(self, sha256: str, video_space: str) -> Analysis | None:
        """Return a checkpoint's analysis of a video without chunks, None if it has none."""
        with reading(self._engine) as connection:
            return one_analysis(connection, sha256, video_space)

    def chunks(self, sha256: str, video_space: str) -> KeptChunks | None:
        """Return the chunks of a checkpoint's analysis of a video, None if none are kept."""
        with reading(self._engine) as connection:
            return chunks_of(connection, sha256, video_space)

    def of_video(self, sha256: str) -> list[KeptVideo]:
        """Return the analyses of a video by all checkpoints, newest first. Raises VideoNotFound."""
        with reading(self._engine) as connection:
            return all_of_video(connection, sha256)

    def page(
        self, wanted: VideoFilter, *, before: int | None = None, limit: int = 100
    ) -> list[KeptVideo]:
        """Return up to `limit` kept videos with ids under `before`, newest first."""
        with reading(self._engine) as connection:
            return page_of_videos(connection, wanted, before, limit)

    def matching(self, video_space: str, wanted: VideoFilter) -> frozenset[int]:
        """Return the ids of a checkpoint's analyses that a filter selects."""
        with reading(self._engine) as connection:
            return matching_ids(connection, video_space, wanted)

    def by_id(self, ids: Sequence[int]) -> dict[int, tuple[KeptVideo, Analysis]]:
        """Return facts and analyses by id; ids that were removed are left out."""
        with reading(self._engine) as connection:
            return videos_by_id(connection, ids)

    @contextmanager
    def changes(self, video_space: str, since: int) -> Generator[ArchiveChanges]:
        """Read what was written after the revision `since` (-1: everything), for the block."""
        with reading(self._engine) as connection:
            yield changes_after(connection, video_space, since)

    def remove(self, sha256: str) -> int:
        """Remove all analyses of a video; return their number. Raises VideoNotFound."""
        with erasing(self._engine) as (connection, erase):
            removed = remove_video(connection, sha256)
            if not removed:
                raise VideoNotFound(f"no analysis of the video with sha256 {sha256!r} is kept")
            erase()
            return removed

    def remove_old(self, max_age: timedelta, max_bytes: int) -> int:
        """Remove analyses over `max_age`, then the oldest until the rest has at most `max_bytes`.

        Returns the number removed.
        """
        if not self.is_over(max_age, max_bytes):
            return 0
        with erasing(self._engine) as (connection, erase):
            removed = remove_old(connection, max_age, max_bytes)
            erase()
            return removed
