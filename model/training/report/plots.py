"""Pictures of an evaluation, as strings of SVG that need nothing from outside."""

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
    "svg.hashsalt": "kinolex",  # the same report twice gives the same bytes
}


def reliability_plot(diagram: Reliability) -> str:
    """Share right over confidence, with the number of clips behind each bar."""

    def draw(axes: Axes) -> None:
        width = 1 / len(diagram.counts)
        middles = [(place + 0.5) * width for place in range(len(diagram.counts))]
        heights = [0.0 if share != share else share for share in diagram.share_right]
        bars = axes.bar(middles, heights, width * 0.92, color=ACCENT, alpha=0.85)
        axes.bar_label(
            bars, [str(count) if count else "" for count in diagram.counts], color=MUTED, size=8
        )
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.set(xlim=(0, 1), ylim=(0, 1.06), xlabel="score of the first tag", ylabel="share right")

    return _data_uri(draw)


def generalised_plot(curves: Sequence[tuple[str, Generalised]]) -> str:
    """Seen over unseen accuracy for every handicap; a dot where there is none."""

    def draw(axes: Axes) -> None:
        for (name, curve), colour in zip(curves, (MUTED, ACCENT), strict=False):
            axes.plot(curve.unseen, curve.seen, color=colour, linewidth=1.8, label=name)
            seen, unseen = curve.at(0.0)
            axes.plot([unseen], [seen], "o", color=colour, markersize=6)
        axes.set(xlim=(0, None), ylim=(0, None))
        axes.set(xlabel="accuracy on unseen classes", ylabel="accuracy on seen classes")
        axes.legend()

    return _data_uri(draw)


def line_plot(
    lines: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    *,
    horizontal: str,
    vertical: str,
    logarithmic: bool = False,
) -> str:
    """Named lines of points, (name, x, y)."""

    def draw(axes: Axes) -> None:
        for name, x, y in lines:
            axes.plot(x, y, marker="o", markersize=4, linewidth=1.8, label=name)
        if logarithmic:
            axes.set_xscale("log")
        axes.set(xlabel=horizontal, ylabel=vertical, ylim=(0, None))
        axes.legend()

    return _data_uri(draw)


def map_plot(plane: EmbeddingMap, *, width: int = 1080, height: int = 760) -> str:
    """The map as an SVG element: clips as dots, labels as words tied to their nearest clip.

    Hovering names a dot's file and label.
    """
    points = [(clip.x, clip.y) for clip in plane.clips]
    points += [(label.x, label.y) for label in plane.labels]
    left, top = (min(point[axis] for point in points) for axis in (0, 1))
    spans = [max(point[axis] for point in points) - low for axis, low in ((0, left), (1, top))]
    margin = 50.0

    def place(x: float, y: float) -> tuple[float, float]:
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
        x, y = place(clip.x, clip.y)
        kind = "unseen" if clip.label in unseen else "seen"
        parts.append(
            f'<circle class="{kind}" cx="{x}" cy="{y}" r="3.5">'
            f"<title>{escape(clip.label)} ({escape(clip.name)})</title></circle>"
        )
    # unseen labels come last, on top of the others
    for point in sorted(plane.labels, key=lambda point: not point.is_seen):
        x, y = place(point.x, point.y)
        nearest = plane.clips[point.nearest]
        near_x, near_y = place(nearest.x, nearest.y)
        kind = "seen" if point.is_seen else "unseen"
        parts.append(
            f'<line class="{kind}" x1="{x}" y1="{y}" x2="{near_x}" y2="{near_y}"/>'
            f'<text class="{kind}" x="{x}" y="{y}">{escape(point.label)}'
            f"<title>nearest: {escape(nearest.label)} ({escape(nearest.name)})</title></text>"
        )
    return "".join([*parts, "</svg>"])


def _data_uri(draw: Callable[[Axes], None]) -> str:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 4.0), layout="constrained")
        draw(figure.add_subplot())
        file = io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()
