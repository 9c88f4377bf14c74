"""Tag a video window by window, and merge the windows' tags into segments.

The video as a whole is judged by its windows too: the mean embedding of four actions is near to
none of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from model.calibration import Calibration
from model.index.label_index import LabelIndex
from model.index.threshold_search import (
    ScoredHits,
    drop_below_thresholds,
    search_above_thresholds,
)
from model.segments import DEFAULT_HYSTERESIS, Hysteresis, Segment, Timeline, merge_tags
from model.tags import Tag, Unknown, select_tags, tags_of, unknown_of
from model.video.films.windows import WindowPlan
from model.video.reader import VideoInfo

# Ranks kept of each window beyond `top_k`: a span continues through a window in which its label has
# a lower rank.
_HYSTERESIS_DEPTH = 20
# Maximum `top_k` for the segments: a million tags of each of a thousand windows would not fit in
# memory.
_MAX_RANKS = 100
# Maximum of the labels of one window that may become tags of the whole video: making the tags of
# all of a million labels would take seconds for each window.
_MAX_WHOLE_RANKS = 1_000


@dataclass(frozen=True, slots=True)
class WindowTags:
    """The tags of one window, before windows are merged; times in seconds."""

    start_seconds: float
    end_seconds: float
    tags: tuple[Tag, ...]
    unknown: Unknown


@dataclass(frozen=True, slots=True)
class TaggedSegments:
    """The result of tagging a video window by window.

    `tags` and `unknown` are those of the whole video, both with a `duration_ratio`; a label's score
    is its best one of any window. `segments` are the spans of time with their tags, merged from
    the `windows` of the `plan`.
    """

    video: VideoInfo
    plan: WindowPlan
    tags: tuple[Tag, ...]
    unknown: Unknown
    segments: tuple[Segment, ...]
    windows: tuple[WindowTags, ...]


class SegmentTagging:
    """Tags the windows of a plan as their embeddings arrive, and merges them into segments.

    Call `add` with the embeddings of all windows, in order and in batches of any size, then
    `finish`. Both search the index, which blocks the calling thread. Not thread-safe.
    """

    def __init__(
        self,
        video: VideoInfo,
        plan: WindowPlan,
        index: LabelIndex,
        calibration: Calibration,
        *,
        top_k: int,
        min_score: float,
        hysteresis: Hysteresis = DEFAULT_HYSTERESIS,
    ) -> None:
        self._video = video
        self._plan = plan
        self._index = index
        self._calibration = calibration
        self._top_k = top_k
        self._min_score = min_score
        self._hysteresis = hysteresis
        # of each window, with ranks beyond `top_k` for the hysteresis
        self._ranked: list[tuple[Tag, ...]] = []
        self._best: dict[str, Tag] = {}
        self._windows: list[WindowTags] = []

    def add(self, embeddings: npt.NDArray[np.float32]) -> tuple[WindowTags, ...]:
        """Tag the next W windows from their (W, dim) float32 unit embeddings; return their tags.

        Raises IndexError for more embeddings than the plan has windows.
        """
        ranks = min(self._top_k, _MAX_RANKS) + _HYSTERESIS_DEPTH
        depth = max(ranks, min(self._top_k, _MAX_WHOLE_RANKS))
        first = len(self._windows)
        for row, found in enumerate(self._search(embeddings, depth)):
            window = self._plan.windows[first + row]
            tags = tags_of(drop_below_thresholds(self._index, found, ranks))
            self._ranked.append(tags)
            keep_best(self._best, tags if depth == ranks else tags_of(found))
            self._windows.append(
                WindowTags(
                    window.start_seconds, window.end_seconds, self._select(tags), unknown_of(found)
                )
            )
        return tuple(self._windows[first:])

    def finish(self) -> TaggedSegments:
        """Merge the windows into segments, and tag the whole video by its windows.

        Raises ValueError when windows are missing.
        """
        if len(self._windows) != self._plan.count:
            raise ValueError(f"{len(self._windows)} windows added, expected {self._plan.count}")
        timeline = self._merge()
        tags = tuple(
            replace(tag, duration_ratio=timeline.duration_ratios.get(tag.label, 0.0))
            for tag in self._select(by_score(self._best.values()))
        )
        unknown = unknown_in_all([window.unknown for window in self._windows])
        return TaggedSegments(
            self._video, self._plan, tags, unknown, timeline.segments, tuple(self._windows)
        )

    def _merge(self) -> Timeline:
        return merge_tags(
            self._plan.windows,
            self._ranked,
            top_k=self._top_k,
            min_score=self._min_score,
            thresholds=self._index.thresholds,
            duration_seconds=self._video.duration_seconds,
            hysteresis=self._hysteresis,
        )

    def _search(self, embeddings: npt.NDArray[np.float32], top_k: int) -> list[ScoredHits]:
        return search_above_thresholds(
            self._index,
            embeddings,
            top_k,
            min_score=self._min_score,
            calibration=self._calibration,
        )

    def _select(self, tags: Sequence[Tag]) -> tuple[Tag, ...]:
        return select_tags(tags, self._index, top_k=self._top_k, min_score=self._min_score)


def keep_best(best: dict[str, Tag], tags: Iterable[Tag]) -> None:
    """Update each label's tag with the highest score so far, by label, with those of a window."""
    for tag in tags:
        if tag.label not in best or tag.score > best[tag.label].score:
            best[tag.label] = tag


def by_score(tags: Iterable[Tag]) -> tuple[Tag, ...]:
    """Sort tags by score, highest first, with new ranks from 1; equal scores keep their order."""
    ordered = sorted(tags, key=lambda tag: -tag.score)
    return tuple(replace(tag, rank=rank) for rank, tag in enumerate(ordered, start=1))


def unknown_in_all(windows: Sequence[Unknown]) -> Unknown:
    """Estimate whether none of the labels applies in any window, and in which share of the windows.

    `windows` are those of all windows, at least one. The score is the lowest of any window, so that
    it and the best score of any window do not exceed 1 together.
    """
    lowest = min(windows, key=lambda each: each.score)
    share = sum(each.is_unknown for each in windows) / len(windows)
    return replace(lowest, duration_ratio=share)
