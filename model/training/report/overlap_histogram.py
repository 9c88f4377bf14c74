"""The paper's Fig. 3: distances of training classes to the nearest held-out class."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from model.training.words.overlap_review import Review

_BIN = 0.025


def removed_labels(found: Review) -> int:
    """Count the training labels that match any overlap rule."""
    labels = set(found.labels)
    return len({overlap.text for overlap in found.overlaps} & labels)


def plot_histogram(path: Path, found: Review) -> None:
    """Write the histogram, in the format of the path's suffix, with `tau` as a red line."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    edges = np.arange(0.0, max(1.0, float(found.nearest.max(initial=0.0))) + 2 * _BIN, _BIN)
    axes.hist(found.nearest, bins=list(edges), color="#2563a8")
    axes.axvline(found.tau, color="red", linewidth=1.5, label=f"tau = {found.tau:g}")
    removed, closer = removed_labels(found), int((found.nearest < found.tau).sum())
    axes.set(
        title=f"{removed} of {len(found.labels)} training classes removed, {closer} by distance",
        xlabel="cosine distance to the nearest held-out class",
        ylabel="training classes",
    )
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
