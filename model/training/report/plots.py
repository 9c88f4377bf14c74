"""Plot the figures of an evaluation, as data URIs of SVG images or as an SVG element."""

import base64
import io
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.training.measure.embedding_map import EmbeddingMap
from model.training.measure.metrics import Reliability
from model.training.measure.protocols import Generalised

INK, MUTED, LINE, ACCENT, WARM = "#1d2733", "#66717f", "#d8dee6", "#2563a8", "#c2571a"
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "svg.hashsalt": "kinolex",  # the same report always has the same bytes
}


def reliability_plot(diagram: Reliability) -> str:
    """Plot the share of hits by confidence, with the number of clips of each bar."""

    def plot(axes: Axes) -> None:
        width = 1 / len(diagram.counts)
        middles = [(row + 0.5) * width for row in range(len(diagram.counts))]
        heights = [0.0 if share != share else share for share in diagram.share_right]
        bars = axes.bar(middles, heights, width * 0.92, color=ACCENT, alpha=0.85)
        axes.bar_label(
            bars, [str(count) if count else "" for count in diagram.counts], color=MUTED, size=8
        )
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(
            xlim=(0, 1), ylim=(0, 1.06), xlabel="score of the first tag", ylabel="share of hits"
        )

    return _data_uri(plot)


def generalised_plot(curves: Sequence[tuple[str, Generalised]]) -> str:
    """Plot seen over unseen accuracy for every handicap; a dot marks no handicap."""

    def plot(axes: Axes) -> None:
        for (name, curve), colour in zip(curves, (MUTED, ACCENT), strict=False):
            axes.plot(curve.unseen, curve.seen, color=colour, linewidth=1.8, label=name)
            seen, unseen = curve.at(0.0)
            axes.plot([unseen], [seen], "o", color=colour, markersize=6)
        axes.set(xlim=(0, None), ylim=(0, None))
        axes.set(xlabel="accuracy on unseen classes", ylabel="accuracy on seen classes")
        axes.legend()

    return _data_uri(plot)


def line_plot(
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    *,
    horizontal: str,
    vertical: str,
    logarithmic: bool = False,
) -> str:
    """Plot lines of points, (name, x, y)."""

    def plot(axes: Axes) -> None:
        for name, x, y in lines:
            axes.plot(x, y, marker="o", markersize=4, linewidth=1.8, label=name)
        if logarithmic:
            axes.set_xscale("log")
        axes.set(xlabel=horizontal, ylabel=vertical, ylim=(0, None))
        axes.legend()

    return _data_uri(plot)


def map_plot(plane: EmbeddingMap, *, width: int = 1080, height: int = 760) -> str:
    """Render the map as an SVG element: clips as dots, labels with a line to their nearest clip.

    A dot's tooltip is its file name and label.
    """
    points = [(clip.x, clip.y) for clip in plane.clips]
    points += [(label.x, label.y) for label in plane.labels]
    left, top = (min(point[axis] for point in points) for axis in (0, 1))
    spans = [max(point[axis] for point in points) - low for axis, low in ((0, left), (1, top))]
    margin = 50.0

    def to_pixels(x: float, y: float) -> tuple[float, float]:
        return (
            round(margin + (x - left) / (spans[0] or 1) * (width - 2 * margin), 1),
            round(margin + (y - top) / (spans[1] or 1) * (height - 2 * margin), 1),
        )

    unseen = {point.label for point in plane.labels if not point.is_seen}
    parts = [
        f'<svg class="map" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="Labels and clips on a plane">'
    ]
    for clip in plane.clips:
        x, y = to_pixels(clip.x, clip.y)
        kind = "unseen" if clip.label in unseen else "seen"
        parts.append(
            f'<circle class="{kind}" cx="{x}" cy="{y}" r="3.5">'
            f"<title>{escape(clip.label)} ({escape(clip.name)})</title></circle>"
        )
    # unseen labels last, so that they cover the others
    for point in sorted(plane.labels, key=lambda point: not point.is_seen):
        x, y = to_pixels(point.x, point.y)
        nearest = plane.clips[point.nearest]
        near_x, near_y = to_pixels(nearest.x, nearest.y)
        kind = "seen" if point.is_seen else "unseen"
        parts.append(
            f'<line class="{kind}" x1="{x}" y1="{y}" x2="{near_x}" y2="{near_y}"/>'
            f'<text class="{kind}" x="{x}" y="{y}">{escape(point.label)}'
            f"<title>nearest: {escape(nearest.label)} ({escape(nearest.name)})</title></text>"
        )
    return "".join([*parts, "</svg>"])


def _data_uri(plot: Callable[[Axes], None]) -> str:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 4.0), layout="constrained")
        plot(figure.add_subplot())
        file = io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()
