"""A comparison of arms as one HTML page and as JSON."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from model.training.compare.growth import GrowthPoint, accuracy_beyond
from model.training.compare.standings import KINDS, Comparison, Standing
from model.training.measure.intervals import Interval
from model.training.report.pages import PAGE, percent, plain, table
from model.training.report.plots import line_plot

_INTRODUCTION = (
    "Test classes and all texts that overlap with them were kept out of training; "
    "settings were chosen on validation classes only. Brackets hold 95 % intervals that resample "
    "whole classes. The difference to the best frozen arm is the mean over classes of the paired "
    "differences; p is two-sided, by flipping their signs. A difference is significant where the "
    "interval does not contain zero."
)


def write_comparison(
    comparison: Comparison,
    out: Path,
    *,
    distances: Mapping[str, float] | None = None,
    growth: Sequence[GrowthPoint] = (),
) -> Path:
    """Write `comparison.html` and `comparison.json` into `out`; return the page's path.

    `distances` from test classes to training classes give the paper's Fig. 7, `growth` its Fig. 4.
    """
    out.mkdir(parents=True, exist_ok=True)
    document = {"comparison": comparison, "distances": distances, "growth": list(growth)}
    (out / "comparison.json").write_text(
        json.dumps(plain(document), indent=1, allow_nan=False) + "\n", encoding="utf-8"
    )
    page = out / "comparison.html"
    page.write_text(comparison_html(comparison, distances, growth), encoding="utf-8")
    return page


def comparison_html(
    comparison: Comparison,
    distances: Mapping[str, float] | None = None,
    growth: Sequence[GrowthPoint] = (),
) -> str:
    """Render the comparison as one HTML page."""
    parts = []
    for kind in KINDS:
        rows = [s for s in comparison.standings if s.kind == kind]
        parts += [f"<h2>Ranked {kind}</h2>", _standings(rows, comparison.best_frozen)]
    parts += ["<h2>Classes, as served</h2>", _per_class(comparison)]
    if distances:
        lines = [
            (arm, *accuracy_beyond(per_class, distances))
            for arm, per_class in comparison.per_class.items()
        ]
        parts += [
            "<h2>Far from what was trained</h2>",
            "<p>Mean accuracy of the classes at least so far from their ten nearest training "
            "classes (the paper's Fig. 7).</p>",
            _plot(lines, "mean distance to the ten nearest training classes"),
        ]
    parts += [_growth(growth, grows) for grows in ("samples", "classes")]
    return PAGE.substitute(
        title="Arms compared on unseen classes",
        introduction=_INTRODUCTION,
        sections="\n".join(part for part in parts if part),
    )


def _standings(rows: Sequence[Standing], best_frozen: str) -> str:
    head = (
        *("arm", "validation", "top-1", "top-5", "class mean", "minus best frozen", "p"),
        *("folds and seeds", "settings"),
    )
    cells = [
        (
            escape(row.arm) + (" (best frozen)" if row.arm == best_frozen else ""),
            percent(row.validation),
            _share(row.top1),
            _share(row.top5),
            percent(row.class_top1),
            _points(row.minus_frozen.interval) if row.minus_frozen else "",
            f"{row.minus_frozen.p:.3f}" if row.minus_frozen else "",
            "; ".join(
                ", ".join(f"{100 * share:.1f}" for share in fold) for fold in row.by_fold_and_seed
            ),
            escape("; ".join(dict.fromkeys(row.settings))),
        )
        for row in rows
    ]
    return table(head, cells)


def _per_class(comparison: Comparison) -> str:
    arms = list(comparison.per_class)
    labels = sorted({label for shares in comparison.per_class.values() for label in shares})
    cells = [
        (escape(label), *(percent(comparison.per_class[arm].get(label, 0.0)) for arm in arms))
        for label in labels
    ]
    return table(("class", *map(escape, arms)), cells)


def _growth(points: Sequence[GrowthPoint], grows: str) -> str:
    chosen = [point for point in points if point.grows == grows]
    if not chosen:
        return ""
    lines = []
    for arm in dict.fromkeys(point.arm for point in chosen):
        own = [point for point in chosen if point.arm == arm]
        lines.append((arm, [float(getattr(p, grows)) for p in own], [p.top1 for p in own]))
    return f"<h2>More {grows}</h2>" + _plot(lines, f"training {grows}", logarithmic=True)


def _plot(lines: Sequence[Any], horizontal: str, *, logarithmic: bool = False) -> str:
    uri = line_plot(lines, horizontal=horizontal, vertical="top-1", logarithmic=logarithmic)
    return f'<div class="pair"><figure><img src="{uri}" alt="{horizontal}"></figure></div>'


def _share(interval: Interval) -> str:
    return f"{percent(interval.value)} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _points(interval: Interval) -> str:
    value, low, high = (100 * part for part in (interval.value, interval.low, interval.high))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
