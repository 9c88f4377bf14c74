"""Find the spans of time in which a video shows one label, from windows that were ranked before.

They are the segments of `SegmentTagging` for a set of this one label. What speaks for "none of the
labels" is known of each window (`VideoRanking`) to six digits; to compute it again would cost ten
times as much as all the rest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.calibration import Calibration, VideoRanking
from model.index.label_block import Prototypes
from model.segments import DEFAULT_HYSTERESIS, Span, merge_windows
from model.video.sampling import Window


@dataclass(frozen=True, slots=True, eq=False)
class RankedWindows:
    """The W windows of a video, sorted by time.

    `embeddings` is (W, dim) float32 unit, `background` (W, 2) float32 that of a `VideoRanking`.
    """

    windows: Sequence[Window]
    embeddings: npt.NDArray[np.float32]
    background: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LabelSpan:
    """A span of time, in seconds, with the label's score and similarity on its best window."""

    start_seconds: float
    end_seconds: float
    score: float
    similarity: float


@dataclass(frozen=True, slots=True)
class LabelSpans:
    """The spans of a label in a video, and the probability 0..1 that no window shows it."""

    spans: tuple[LabelSpan, ...]
    unknown: float


def label_spans(
    label: Prototypes, calibration: Calibration, video: RankedWindows, *, min_score: float
) -> LabelSpans:
    """Return the spans in a video, with at least one window, of a label's first vector.

    Every window of a span reaches `min_score`. Scores are those of tags to six digits.
    """
    similarities = video.embeddings @ label.vectors[0]
    scores = _scores(label, calibration, video, similarities)
    spans = _merged(video.windows, scores.tolist(), min_score)
    return LabelSpans(
        tuple(
            LabelSpan(
                span.start_seconds, span.end_seconds, float(scores[peak]), float(similarities[peak])
            )
            for span, peak in zip(spans, _peaks(video.windows, scores, spans), strict=True)
        ),
        # score and unknown of one label are 1 together
        1.0 - float(scores.max()),
    )


def _scores(
    label: Prototypes,
    calibration: Calibration,
    video: RankedWindows,
    similarities: npt.NDArray[np.float32],
) -> npt.NDArray[np.float64]:
    """Compute the label's score on each window; 0 where the embedding contains NaN."""
    level, spread = label.background[0].tolist()
    standardised = (similarities.astype(np.float64) - level) / spread
    own = calibration.weights(np.where(np.isnan(standardised), -math.inf, standardised))
    none = VideoRanking(calibration).none_weights(video.embeddings, video.background)
    scores: npt.NDArray[np.float64] = np.where(own > 0.0, own / (none + own), 0.0)
    return scores


def _merged(windows: Sequence[Window], scores: Sequence[float], min_score: float) -> list[Span]:
    open_score = max(min_score, max(scores) * DEFAULT_HYSTERESIS.open_share)
    return merge_windows(
        windows,
        [{"": score} for score in scores],
        open_score=open_score,
        keep_score=open_score * DEFAULT_HYSTERESIS.keep_share,
        floors={"": min_score},
    )


def _peaks(
    windows: Sequence[Window], scores: npt.NDArray[np.float64], spans: Sequence[Span]
) -> list[int]:
    """Return the position of the best window of each span."""
    middles = np.array([(each.start_seconds + each.end_seconds) / 2 for each in windows])
    # spans end in the middle of an overlap, so a window's ends may be outside its span
    inside = (
        np.where((span.start_seconds <= middles) & (middles <= span.end_seconds), scores, -1.0)
        for span in spans
    )
    return [int(each.argmax()) for each in inside]
