"""Merge the tags of windows into segments, with hysteresis.

A label's span opens where its score reaches an opening threshold, and continues while the score
stays above a lower one (hysteresis: Canny, 1986, "A Computational Approach to Edge Detection"), so
that a score that fluctuates around one threshold gives one span and not ten.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice

from model.tags import Tag
from model.text.labels import label_key
from model.video.sampling import Window


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """The scores at which a label's span opens and continues, as shares 0..1.

    The opening score is `open_share` of the highest score in the whole video, or the minimum score
    if that is higher. A span continues while its score is at least `keep_share` of the opening
    score, but never below the minimum score or the label's own threshold. `keep_share=1` turns
    hysteresis off: a span is a run of windows that all reach the opening score. The defaults were
    chosen by `benchmarks/segments`.
    """

    open_share: float = 0.3
    keep_share: float = 0.5


DEFAULT_HYSTERESIS = Hysteresis()


@dataclass(frozen=True, slots=True)
class Segment:
    """A span of time, in seconds, and the tags that apply throughout it.

    `tags` are sorted by score, highest first. A tag's `score` is its maximum over the span's
    windows. `mean_scores` are the means over the same windows, in the order of `tags`.
    """

    start_seconds: float
    end_seconds: float
    tags: tuple[Tag, ...]
    mean_scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The segments of a video by start time, and the share 0..1 of it that each label covers.

    `duration_ratios` has the labels' names as keys.
    """

    segments: tuple[Segment, ...]
    duration_ratios: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Span:
    """A label and the span of time in which it applies: [start_seconds, end_seconds).

    `peak_score` and `mean_score` are the maximum and the mean over the windows of the span.
    """

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
    """Merge the tags of each window, sorted by rank, into segments.

    A span opens where a label reaches the opening score (see `Hysteresis`), if the label is among
    the first `top_k` tags of some window that reach `min_score` and their label's own threshold; it
    continues on tags of any rank, so that `window_tags` should contain more than `top_k`. In every
    window of a span, the label reaches both too; `thresholds` has label keys as keys. Labels with
    the same span share a segment.
    """
    best = max((tags[0].score for tags in window_tags if tags), default=0.0)
    open_score = max(min_score, best * hysteresis.open_share)
    floor = min_score if hysteresis.keep_share < 1 else open_score
    labels = {tag.label for tags in window_tags for tag in tags}
    minima = {label: max(min_score, thresholds.get(label_key(label), 0.0)) for label in labels}
    leading = {
        tag.label
        for tags in window_tags
        # a label below its threshold takes no place of one that is reported
        for tag in islice((tag for tag in tags if tag.score >= minima[tag.label]), top_k)
    }
    scores = [{t.label: t.score for t in tags if t.label in leading} for tags in window_tags]
    spans = merge_windows(
        windows,
        scores,
        open_score=open_score,
        keep_score=open_score * hysteresis.keep_share,
        floors={label: max(floor, minima[label]) for label in leading},
    )
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
    """Find the tag with the highest score inside each span."""
    peaks: dict[Span, Tag] = {}
    for window, tags in zip(windows, window_tags, strict=True):
        middle = (window.start_seconds + window.end_seconds) / 2
        for tag in tags:
            for span in by_label.get(tag.label, ()):
                # Spans end in the middle of an overlap, so a window's ends may be outside its span.
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
    floors: Mapping[str, float],
) -> list[Span]:
    """Find the spans of every label whose score reaches `open_score` in some window.

    `windows` are sorted by start and by end. `scores` maps each window's labels to their scores; a
    missing label has the score 0. Consecutive windows with at least `keep_score` form one span, if
    one of them reaches `open_score`; spans of a label that overlap or touch are joined. A window
    below its label's score in `floors` is in no span, neither kept nor bridged. A span ends in the
    middle of the overlap between its last window and the next one, and starts likewise. Returns
    spans sorted by start, then by peak score, highest first.
    """
    labels = dict.fromkeys(
        label for window_scores in scores for label, s in window_scores.items() if s >= open_score
    )
    spans = [
        span
        for label in labels
        for span in _spans_of(
            label,
            windows,
            [s.get(label, 0.0) for s in scores],
            open_score,
            keep_score,
            floors.get(label, 0.0),
        )
    ]
    return sorted(spans, key=lambda span: (span.start_seconds, -span.peak_score, span.label))


def duration_ratio(spans: Sequence[Span], duration_seconds: float) -> float:
    """Compute the share 0..1 of the video that non-overlapping spans of one label cover.

    It is 1 for a duration of 0.
    """
    covered = sum(span.end_seconds - span.start_seconds for span in spans)
    return min(1.0, covered / duration_seconds) if duration_seconds > 0 else 1.0


def _spans_of(
    label: str,
    windows: Sequence[Window],
    scores: Sequence[float],
    open_score: float,
    keep_score: float,
    floor: float,
) -> list[Span]:
    open_score, keep_score = max(open_score, floor), max(keep_score, floor)
    runs: list[list[int]] = []
    for is_kept, positions in groupby(range(len(windows)), key=lambda at: scores[at] >= keep_score):
        run = list(positions)
        if not is_kept or max(scores[at] for at in run) < open_score:
            continue
        before = runs[-1][-1] if runs else None
        if (
            before is not None
            and windows[run[0]].start_seconds <= windows[before].end_seconds
            and min(scores[before : run[0]]) >= floor
        ):
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
    """Compute the start in seconds of a span whose first window has the index `first`.

    A window that contains a cut shows both shots, and its scores are mostly those of the longer
    one. The span therefore starts in the middle of the overlap with the window before.
    """
    start = windows[first].start_seconds
    return (start + max(start, windows[first - 1].end_seconds)) / 2 if first else start


def _span_end(windows: Sequence[Window], last: int) -> float:
    """Compute the end in seconds of a span whose last window has the index `last`.

    It is in the middle of the overlap with the next window; see `_span_start`.
    """
    end = windows[last].end_seconds
    if last + 1 == len(windows):
        return end
    return (end + min(end, windows[last + 1].start_seconds)) / 2
