"""The index of all kept windows: a cache of the database, updated with its changes.

It is the index that labels are searched in, with a window in the place of a label: its row is the
window's embedding with its background (`model.VideoRanking`), its name `id:position`. A query is a
label's, and windows are ordered by its score. Each index is immutable: a search uses one to its
end, while changes and merges make a new one.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from app.store.analyses import AnalysisStore, ArchiveChanges, ArchiveState, KeptWindows
from app.store.low_priority import lower_priority
from model import (
    KinolexError,
    LabelBlock,
    LabelIndex,
    Prototypes,
    VideoRanking,
    load_index,
    save_index,
)

# Minimum number of windows for a file; fewer are read from the database within a second.
MIN_SAVED = 10_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexedWindows:
    """All windows of a number of `videos` at a state of the archive.

    `saved` is the block of the index that is in a file, if any.
    """

    state: ArchiveState
    videos: int
    index: LabelIndex
    saved: LabelBlock | None = None


class WindowIndex:
    """One process's index of the windows that one checkpoint made; thread-safe.

    `queries` returns typical queries, and is called before each merge.
    Without a `cache_folder`, every start reads all windows from the database.
    """

    def __init__(
        self,
        store: AnalysisStore,
        video_space: str,
        dim: int,
        ranking: VideoRanking,
        queries: Callable[[], Sequence[Prototypes]],
        cache_folder: Path | None = None,
    ) -> None:
        self._store = store
        self._video_space = video_space
        self._dim = dim
        self._ranking = ranking
        self._queries = queries
        digest = hashlib.sha256(video_space.encode()).hexdigest()[:16]
        self._path = None if cache_folder is None else cache_folder / f"windows-{digest}.index"
        self._built: IndexedWindows | None = None
        self._analysis_ids: WeakKeyDictionary[LabelBlock, npt.NDArray[np.int64]]
        self._analysis_ids = WeakKeyDictionary()
        # one build at a time
        self._building = threading.Lock()
        self._is_merging = False
        self._merging = ThreadPoolExecutor(1, "window-merge", initializer=lower_priority)

    def close(self) -> None:
        """Stop after the merge in progress."""
        self._merging.shutdown(cancel_futures=True)

    def get(self) -> IndexedWindows:
        """Return all windows at the archive's newest revision. Raises StoreUnavailable."""
        built, state = self._built, self._store.state()
        if built is None or built.state != state:
            with self._building:
                built = self._built = self._build(self._built)
        self._merge_if_needed(built)
        return built

    def background(
        self, indexed: IndexedWindows, analysis_id: int, embeddings: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return the background of an analysis's windows, (W, 2), from their (W, dim) embeddings.

        It is that of the index if this has the analysis: to compute it takes milliseconds.
        """
        names = [f"{analysis_id}:{position}" for position in range(len(embeddings))]
        found = indexed.index.background_of(names)
        return self._ranking.background(embeddings) if found is None else found

    def windows_of(
        self, analyses: npt.NDArray[np.int64], block: LabelBlock
    ) -> npt.NDArray[np.bool_]:
        """Mark the windows of a block of the index, (L,), that belong to analyses with these ids.

        The first call for a block reads the names of all its windows.
        """
        ids = self._analysis_ids.get(block)
        if ids is None:
            ids = np.fromiter(map(read_name, block.names), np.int64, len(block))
            self._analysis_ids[block] = ids
        return np.isin(ids, analyses)

    def _build(self, base: IndexedWindows | None) -> IndexedWindows:
        base = base or self._load()
        if base is not None:
            updated = self._updated(base)
            if updated is not None:
                return updated
        with self._store.changes(self._video_space, -1) as changes:
            index = LabelIndex.build(self._items(changes.added), self._dim)
            return IndexedWindows(changes.state, changes.video_count, index)

    def _updated(self, base: IndexedWindows) -> IndexedWindows | None:
        """Apply what was written since; None if the base is of another or a newer database."""
        since = base.state.revision
        with self._store.changes(self._video_space, since) as changes:
            state = changes.state
            if base.state.created_at != state.created_at:
                return None
            if not state.complete_since <= since <= state.revision:
                return None
            index = base.index.upsert(self._items(changes.added)).remove(_removed_names(changes))
            if len(index) != changes.window_count:
                _log.warning("the index of kept windows does not fit the database; reading it anew")
                return None
            saved = base.saved
            if changes.removed and self._path is not None:
                # what was deleted must not stay in the file
                self._path.unlink(missing_ok=True)
                saved = None
            return IndexedWindows(state, changes.video_count, index, saved)

    def _merge_if_needed(self, built: IndexedWindows) -> None:
        is_worth_a_file = self._path is not None and len(built.index) >= MIN_SAVED
        is_unsaved = is_worth_a_file and built.saved is not built.index.base
        if (built.index.needs_merge or is_unsaved) and not self._is_merging:
            self._is_merging = True
            self._merging.submit(self._merge)

    def _merge(self) -> None:
        """Merge the index into one block and save it; searches use the old one meanwhile."""
        try:
            built = self._built
            if built is None:
                return
            merged = built.index.merged(self._typical_queries())
            with self._building:
                self._built = self._build(replace(built, index=merged, saved=merged.base))
            self._save(built.state, merged)
            self._remove_outdated(merged.base)
        except KinolexError:
            # the database failed: the next search starts a merge again
            _log.info("the index of kept windows was not merged", exc_info=True)
        finally:
            self._is_merging = False

    def _load(self) -> IndexedWindows | None:
        found = None if self._path is None else load_index(self._path)
        if found is None:
            return None
        stamp, index = found
        if stamp["video_space"] != self._video_space or index.dim != self._dim:
            return None
        # of an older release, or of another text model
        if stamp.get("ranking") != self._ranking.digest:
            return None
        created_at = datetime.fromisoformat(stamp["created_at"])
        return IndexedWindows(ArchiveState(stamp["revision"], 0, created_at), 0, index, index.base)

    def _save(self, state: ArchiveState, index: LabelIndex) -> None:
        if self._path is None or state.created_at is None or len(index) < MIN_SAVED:
            return
        stamp: dict[str, Any] = {
            "video_space": self._video_space,
            "ranking": self._ranking.digest,
            "revision": state.revision,
            "created_at": state.created_at.astimezone(UTC).isoformat(),
        }
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(f"{self._path}.lock", blocking=False):
                save_index(index, self._path, stamp)
        except Timeout:
            pass
        except OSError as error:
            _log.warning("the index of kept windows cannot be saved: %s", error)

    def _remove_outdated(self, saved: LabelBlock) -> None:
        """Remove the file again if something in it was deleted while it was made."""
        with self._building:
            is_outdated = self._built is None or self._built.saved is not saved
            if is_outdated and self._path is not None:
                self._path.unlink(missing_ok=True)

    def _items(self, analyses: Iterator[KeptWindows]) -> Iterator[tuple[str, Prototypes]]:
        for each in analyses:
            background = self._ranking.background(each.embeddings)
            for position in range(len(each.embeddings)):
                name, row = f"{each.id}:{position}", slice(position, position + 1)
                yield name, Prototypes((name,), each.embeddings[row], background[row])

    def _typical_queries(self) -> npt.NDArray[np.float32]:
        vectors = [
            self._ranking.query(each.vectors[0], *each.background[0].tolist()).vector
            for each in self._queries()
        ]
        return np.array(vectors, np.float32).reshape(-1, self._dim)


def read_name(name: str) -> int:
    """Return the id of the analysis to which a window of this name belongs."""
    return int(name.partition(":")[0])


def _removed_names(changes: ArchiveChanges) -> Iterator[str]:
    for analysis_id, count in changes.removed:
        for position in range(count):
            yield f"{analysis_id}:{position}"
