"""Tags of overlapping windows merged into spans of time, with hysteresis.

A label's span opens where its score reaches the opening threshold and goes on while it stays over
a lower one (Canny, 1986), so that a score that trembles around one threshold gives one span and
not ten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from model.video.sampling import Window


@dataclass(frozen=True, slots=True)
class Span:
    """A label over a span of time, with its highest and mean score; seconds, half-open."""

    label: str
    start_seconds: float
    end_seconds: float
    peak_score: float
    mean_score: float


def merge_windows(
    windows: Sequence[Window],
    scores: Sequence[Mapping[str, float]],
    *,
    open_score: float,
    keep_score: float,
) -> list[Span]:
    """Spans of every label whose score reaches `open_score` in some window.

    `windows` are in order of start and of end; `scores` gives each window's scores by label, a
    label that is missing counts as 0. Neighbouring windows over `keep_score` belong to one span,
    and so do spans of a label that overlap or touch because their windows do. Where windows
    overlap, a span's edge is the middle of the overlap with the neighbour that is not in it.
    Answered in order of start, then of peak score.
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
    stretches: list[list[int]] = []
    for kept, run in groupby(range(len(windows)), key=lambda place: scores[place] >= keep_score):
        places = list(run)
        if not kept or max(scores[place] for place in places) < open_score:
            continue
        last = windows[stretches[-1][-1]] if stretches else None
        if last is not None and windows[places[0]].start_seconds <= last.end_seconds:
            stretches[-1] += places
        else:
            stretches.append(places)
    return [
        Span(
            label,
            _start(windows, places[0]),
            _end(windows, places[-1]),
            max(scores[place] for place in places),
            sum(scores[place] for place in places) / len(places),
        )
        for places in stretches
    ]


def _start(windows: Sequence[Window], place: int) -> float:
    """Where a span begins whose first window this is.

    A window over a cut sees both sides, and mostly scores for the one that fills more of it: so
    the middle of its overlap with the window before, where the two overlap.
    """
    start = windows[place].start_seconds
    return (start + max(start, windows[place - 1].end_seconds)) / 2 if place else start


def _end(windows: Sequence[Window], place: int) -> float:
    """Where a span ends whose last window this is, in the same way."""
    end = windows[place].end_seconds
    is_last = place + 1 == len(windows)
    return end if is_last else (end + min(end, windows[place + 1].start_seconds)) / 2
