"""Spans of kept videos as examples of labels."""

import hashlib

import numpy as np

from app.question import Analysis
from app.store import Example


def example_of(analysis: Analysis, start_seconds: float, end_seconds: float) -> Example:
    """Return the span as an example: the mean of the windows whose middles it contains.

    Without such a window it is the window whose middle is nearest to that of the span. The digest
    identifies the span: SHA-256 of the text `sha256:start-end` with milliseconds. Raises ValueError
    unless 0 <= start < end and start lies before the end of the video.
    """
    if not 0 <= start_seconds < end_seconds or start_seconds >= analysis.video.duration_seconds:
        raise ValueError(
            f"{start_seconds:g} to {end_seconds:g} s is no span of a video of "
            f"{analysis.video.duration_seconds:g} s"
        )
    windows = analysis.windows.plan.windows
    middles = np.array([(each.start_seconds + each.end_seconds) / 2 for each in windows])
    inside = (start_seconds <= middles) & (middles <= end_seconds)
    if not inside.any():
        nearest = np.abs(middles - (start_seconds + end_seconds) / 2).argmin()
        inside[nearest] = True
    mean = analysis.windows.embeddings[inside].mean(axis=0)
    named = f"{analysis.sha256}:{start_seconds:.3f}-{end_seconds:.3f}"
    return Example(
        hashlib.sha256(named.encode()).hexdigest(),
        # opposite windows may have no mean
        mean / max(float(np.linalg.norm(mean)), 1e-6),
    )
