"""Computes other windows of a kept video than those that it was kept with, from its chunks."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from app.errors import ServiceError
from app.question import Analysis, EmbeddedWindows, KeptChunks, distinct
from model import Tagger, WindowMeans, WindowPlan, chunks_of_windows


class AnalysisDiffers(ServiceError):
    """The request asks for windows or a decode mode that the kept analysis does not allow."""

    code = "analysis_differs"


def other_windows(
    tagger: Tagger, analysis: Analysis, chunks: KeptChunks, plan: WindowPlan
) -> EmbeddedWindows:
    """Embed the windows of `plan` as means of kept chunks; blocks on the network's head.

    Raises AnalysisDiffers where a window has no chunk.
    """
    rows = chunks_of_windows(plan.windows, chunks.centres_seconds)
    fewest = _fewest_chunks(plan, chunks, rows)
    if not fewest:
        raise AnalysisDiffers(
            f"the video was kept with {len(chunks.scales)} moments, and some windows of "
            f"{plan.window_seconds:g} s every {plan.stride_seconds:g} s would have none; ask for "
            "longer ones, or send the video to /classify again"
        )
    kept = analysis.windows
    others = [text for text in kept.warnings if text not in kept.plan.warnings]
    warnings = [*others, *plan.warnings]
    first, end = tagger.chunks(plan, analysis.video).rows[0]
    if fewest < end - first:
        warnings.append(
            f"windows of a kept video: some have {fewest} moments, those of an upload {end - first}"
        )
    embeddings = tagger.embed_features(WindowMeans(rows).add(chunks.values))
    return replace(
        kept,
        plan=plan,
        warnings=distinct(warnings),
        embeddings=embeddings.astype(np.float16).astype(np.float32),
    )


def _fewest_chunks(plan: WindowPlan, chunks: KeptChunks, rows: npt.NDArray[np.intp]) -> int:
    """Return the least number of chunks that a window contains."""
    # the last window may be a rest that is shorter than a chunk
    windows = plan.windows[:-1] or plan.windows
    return min(
        int(end - first)
        if window.start_seconds <= chunks.centres_seconds[first] < window.end_seconds
        else 0
        for window, (first, end) in zip(windows, rows, strict=False)
    )
