"""Tags of windows merged into segments, with hysteresis.

A label's span opens where its score reaches an opening threshold, and continues while the score
stays above a lower one (hysteresis: Canny, 1986, "A Computational Approach to Edge Detection"), so
that a score that fluctuates around one threshold gives one span and not ten.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from model.tags import Tag
from model.text.labels import label_key
from model.video.sampling import Window


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """When a label's span opens and continues.

    It opens at `open_share` of the best score in the whole video, and continues while the score
    stays above `keep_share` of that. The defaults were chosen by `benchmarks/segments.py`.
    """

    open_share: float = 0.3
    keep_share: float = 0.5


DEFAULT_HYSTERESIS = Hysteresis()


@dataclass(frozen=True, slots=True)
class Segment:
    """A span of time, in seconds, and the tags that apply throughout it.

    The `score` of a tag is its highest in the span; `mean_scores` holds the mean over the span's
    windows for each tag, in their order.
    """

    start_seconds: float
    end_seconds: float
    tags: tuple[Tag, ...]
    mean_scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The segments of a video in order, and the share 0..1 of it that each label covers."""

    segments: tuple[Segment, ...]
    duration_ratios: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Span:
    """A label over a span of time, with its highest and mean score; seconds, half-open."""

    label: str
    start_seconds: float
    end_seconds: float
    peak_score: float
    mean_score: float


def merge_tags(
    windows: Sequence[Window],
    window_tags: Sequence[Sequence[Tag]],
    *,
    top_k: int,
    min_score: float,
    thresholds: Mapping[str, float],
    duration_seconds: float,
    hysteresis: Hysteresis = DEFAULT_HYSTERESIS,
) -> Timeline:
    """Segments from each window's tags, which are ranked and go beyond the first `top_k`.

    A label opens a segment where it is among the `top_k` of a window and reaches `min_score` and
    the opening score of the hysteresis. A segment whose best score is below the label's own
    threshold (by label key) is dropped.
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
    peaks = _peak_tags(windows, window_tags, by_label)
    segments = [
        _segment(start, end, together, peaks) for (start, end), together in sorted(by_time.items())
    ]
    ratios = {label: duration_ratio(of, duration_seconds) for label, of in by_label.items()}
    return Timeline(tuple(segments), ratios)


def _peak_tags(
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
                # a window's edges may lie outside: spans end in the middle of an overlap
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


def merge_windows(
    windows: Sequence[Window],
    scores: Sequence[Mapping[str, float]],
    *,
    open_score: float,
    keep_score: float,
) -> list[Span]:
    """Spans of every label whose score reaches `open_score` in some window.

    `windows` are in order of start and of end. `scores` gives each window's scores by label; a
    missing label counts as 0. Neighbouring windows over `keep_score` form one span; spans of a
    label that overlap or touch are joined. Where windows overlap, a span ends in the middle of the
    overlap with the neighbour outside it. Sorted by start, then by peak score, highest first.
    """
    labels = dict.fromkeys(
        label for window_scores in scores for label, s in window_scores.items() if s >= open_score
    )
    spans = [
        span
        for label in labels
        for span in _spans_of(
            label, windows, [s.get(label, 0.0) for s in scores], open_score, keep_score
        )
    ]
    return sorted(spans, key=lambda span: (span.start_seconds, -span.peak_score, span.label))


def duration_ratio(spans: Sequence[Span], duration_seconds: float) -> float:
    """Share 0..1 of the video that spans of one label cover."""
    covered = sum(span.end_seconds - span.start_seconds for span in spans)
    return min(1.0, covered / duration_seconds) if duration_seconds > 0 else 1.0


def _spans_of(
    label: str,
    windows: Sequence[Window],
    scores: Sequence[float],
    open_score: float,
    keep_score: float,
) -> list[Span]:
    runs: list[list[int]] = []
    for is_kept, positions in groupby(range(len(windows)), key=lambda at: scores[at] >= keep_score):
        run = list(positions)
        if not is_kept or max(scores[at] for at in run) < open_score:
            continue
        before = windows[runs[-1][-1]] if runs else None
        if before is not None and windows[run[0]].start_seconds <= before.end_seconds:
            runs[-1] += run
        else:
            runs.append(run)
    return [
        Span(
            label,
            _span_start(windows, run[0]),
            _span_end(windows, run[-1]),
            max(scores[at] for at in run),
            sum(scores[at] for at in run) / len(run),
        )
        for run in runs
    ]


def _span_start(windows: Sequence[Window], first: int) -> float:
    """Start of a span whose first window has this index.

    A window over a cut sees both sides and mostly scores for the one that fills more of it, so the
    span starts in the middle of the overlap with the window before.
    """
    start = windows[first].start_seconds
    return (start + max(start, windows[first - 1].end_seconds)) / 2 if first else start


def _span_end(windows: Sequence[Window], last: int) -> float:
    """End of a span whose last window has this index, by the same rule."""
    end = windows[last].end_seconds
    if last + 1 == len(windows):
        return end
    return (end + min(end, windows[last + 1].start_seconds)) / 2
