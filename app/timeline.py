"""Tags of windows to segments: which label, from when to when."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from model import Span, Tag, Window, duration_ratio, label_key, merge_windows


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """When a label's span begins and goes on.

    It opens at `open_share` of the best score in the whole video, and goes on while the label
    keeps `keep_share` of that. Measured by `benchmarks/segments.py`.
    """

    open_share: float = 0.3
    keep_share: float = 0.5


@dataclass(frozen=True, slots=True)
class Segment:
    """A span of time with the tags that apply all through it; `score` is each one's peak.

    `mean_scores` has the mean over the span's windows of each tag, in the tags' order.
    """

    start_seconds: float
    end_seconds: float
    tags: tuple[Tag, ...]
    mean_scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The segments of a video in order, and the share of it that each label covers."""

    segments: tuple[Segment, ...]
    duration_ratios: Mapping[str, float]


def draw_timeline(
    windows: Sequence[Window],
    window_tags: Sequence[Sequence[Tag]],
    *,
    top_k: int,
    min_score: float,
    thresholds: Mapping[str, float],
    duration_seconds: float,
    hysteresis: Hysteresis = Hysteresis(),
) -> Timeline:
    """Segments from each window's tags, which are in order of rank and more than `top_k`.

    A label opens a segment where it is among the `top_k` of a window with at least a share of the
    best score of the whole video, `min_score` and its own threshold (by label key).
    """
    best = max((tags[0].score for tags in window_tags if tags), default=0.0)
    open_score = max(min_score, best * hysteresis.open_share)
    leading = {tag.label for tags in window_tags for tag in tags[:top_k]}
    scores = [{t.label: t.score for t in tags if t.label in leading} for tags in window_tags]
    spans = [
        span
        for span in merge_windows(
            windows, scores, open_score=open_score, keep_score=open_score * hysteresis.keep_share
        )
        if span.peak_score >= thresholds.get(label_key(span.label), 0.0)
    ]
    by_label: dict[str, list[Span]] = defaultdict(list)
    by_time: dict[tuple[float, float], list[Span]] = defaultdict(list)
    for span in spans:
        by_label[span.label].append(span)
        by_time[span.start_seconds, span.end_seconds].append(span)
    peaks = _peaks(windows, window_tags, by_label)
    segments = [
        _segment(start, end, together, peaks) for (start, end), together in sorted(by_time.items())
    ]
    ratios = {label: duration_ratio(of, duration_seconds) for label, of in by_label.items()}
    return Timeline(tuple(segments), ratios)


def _peaks(
    windows: Sequence[Window],
    window_tags: Sequence[Sequence[Tag]],
    by_label: Mapping[str, Sequence[Span]],
) -> dict[Span, Tag]:
    """The best tag inside each span."""
    peaks: dict[Span, Tag] = {}
    for window, tags in zip(windows, window_tags, strict=True):
        middle = (window.start_seconds + window.end_seconds) / 2
        for tag in tags:
            for span in by_label.get(tag.label, ()):
                # a window's edges may lie outside: the border is in the middle of an overlap
                inside = span.start_seconds <= middle <= span.end_seconds
                if inside and (span not in peaks or peaks[span].score < tag.score):
                    peaks[span] = tag
    return peaks


def _segment(start: float, end: float, spans: Sequence[Span], peaks: Mapping[Span, Tag]) -> Segment:
    ordered = sorted(spans, key=lambda span: (-span.peak_score, span.label))
    return Segment(
        start,
        end,
        tuple(replace(peaks[span], rank=rank) for rank, span in enumerate(ordered, start=1)),
        tuple(span.mean_score for span in ordered),
    )
