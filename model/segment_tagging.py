"""Tag a video window by window, and merge the windows' tags into segments."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from model.calibration import Calibration
from model.index.label_index import Hit, LabelIndex
from model.index.threshold_search import drop_below_thresholds, search_above_thresholds
from model.segments import DEFAULT_HYSTERESIS, Hysteresis, Segment, Timeline, merge_tags
from model.tags import Tag, Unknown, select_tags, tags_of, unknown_of
from model.video.reader import VideoInfo
from model.video.windows import WindowPlan

# Ranks kept of each window beyond `top_k`: a span continues through a window in which its label has
# a lower rank.
_HYSTERESIS_DEPTH = 20
# Maximum `top_k` of the search for one window: a million tags of each of a thousand windows would
# not fit in memory.
_MAX_RANKS = 100


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

    `tags` and `unknown` are those of the whole video, each tag with its `duration_ratio`.
    `segments` are the spans of time with their tags, merged from the `windows` of the `plan`.
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
        self._embeddings: list[npt.NDArray[np.float32]] = []
        # of each window, with ranks beyond `top_k` for the hysteresis
        self._ranked: list[tuple[Tag, ...]] = []
        self._windows: list[WindowTags] = []

    def add(self, embeddings: npt.NDArray[np.float32]) -> tuple[WindowTags, ...]:
        """Tag the next W windows from their (W, dim) float32 unit embeddings; return their tags.

        Raises IndexError for more embeddings than the plan has windows.
        """
        ranks = min(self._top_k, _MAX_RANKS) + _HYSTERESIS_DEPTH
        first = len(self._windows)
        for row, hits in enumerate(self._search(embeddings, ranks)):
            window = self._plan.windows[first + row]
            kept = drop_below_thresholds(self._index, hits, ranks, self._calibration.score)
            tags = tags_of(kept, self._calibration)
            self._ranked.append(tags)
            self._windows.append(
                WindowTags(
                    window.start_seconds,
                    window.end_seconds,
                    self._select(tags),
                    unknown_of(hits, len(self._index), self._calibration),
                )
            )
        self._embeddings.append(embeddings)
        return tuple(self._windows[first:])

    def finish(self) -> TaggedSegments:
        """Merge the windows into segments, and tag the whole video by the mean of its embeddings.

        Raises ValueError when windows are missing.
        """
        if len(self._windows) != self._plan.count:
            raise ValueError(f"{len(self._windows)} windows added, expected {self._plan.count}")
        timeline = self._merge()
        [hits] = self._search(mean_embedding(np.concatenate(self._embeddings)), self._top_k)
        tags = tuple(
            replace(tag, duration_ratio=timeline.duration_ratios.get(tag.label, 0.0))
            for tag in self._select(tags_of(hits, self._calibration))
        )
        unknown = unknown_of(hits, len(self._index), self._calibration)
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

    def _search(self, embeddings: npt.NDArray[np.float32], top_k: int) -> list[list[Hit]]:
        return search_above_thresholds(
            self._index,
            embeddings,
            top_k,
            min_score=self._min_score,
            score=self._calibration.score,
        )

    def _select(self, tags: Sequence[Tag]) -> tuple[Tag, ...]:
        return select_tags(tags, self._index, top_k=self._top_k, min_score=self._min_score)


def mean_embedding(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Average (W, dim) unit vectors: (1, dim) float32 of unit length, or zeros if they cancel."""
    mean: npt.NDArray[np.float32] = embeddings.mean(axis=0, keepdims=True)
    length = float(np.linalg.norm(mean))
    return mean / np.float32(length) if length else mean
