"""The measure: average precision of moments, as ActivityNet has it (Caba Heilbron et al., 2015)."""

from collections.abc import Sequence

import numpy as np

from benchmarks.segments.films import Moment

# temporal intersection over union from which a moment is found
_OVERLAP = 0.5


def mean_average_precision(truth: Sequence[Moment], found: Sequence[Moment]) -> float:
    """Mean over the labels that are there of average precision at `_OVERLAP`."""
    labels = sorted({moment.label for moment in truth})
    return float(np.mean([_average_precision(label, truth, found) for label in labels]))


def _average_precision(label: str, truth: Sequence[Moment], found: Sequence[Moment]) -> float:
    wanted = [moment for moment in truth if moment.label == label]
    guesses = sorted(
        (moment for moment in found if moment.label == label), key=lambda one: -one.score
    )
    taken: set[int] = set()
    hits = []
    for guess in guesses:
        overlaps = [
            -1.0 if at in taken else _overlap(guess, moment) for at, moment in enumerate(wanted)
        ]
        best = int(np.argmax(overlaps))
        is_hit = overlaps[best] >= _OVERLAP
        if is_hit:
            taken.add(best)
        hits.append(is_hit)
    if not any(hits):
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    # interpolated: at each recall the best precision at that recall or above
    best_later = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_later[np.array(hits)].sum() / len(wanted))


def _overlap(one: Moment, other: Moment) -> float:
    if one.film != other.film:
        return 0.0
    shared = min(one.end, other.end) - max(one.start, other.start)
    whole = max(one.end, other.end) - min(one.start, other.start)
    return max(0.0, shared) / whole
