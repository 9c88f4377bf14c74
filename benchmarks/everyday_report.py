"""The page of `benchmarks.everyday`: reliability diagrams, cost, and labels that attract."""

import html
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.everyday import Case, Everyday, Firsts, attractors
from model import Tagger
from model.training.measure.metrics import reliability
from model.training.report.pages import PAGE, percent, plain, table
from model.training.report.plots import line_plot, reliability_plot


def write_report(
    folder: Path,
    tagger: Tagger,
    case: Case,
    firsts: Firsts,
    rows: Mapping[str, Everyday],
    points: Mapping[tuple[int, int], tuple[Everyday, float]],
) -> None:
    """Write `folder/everyday.html`, and the same figures as everyday.json."""
    sections = [
        "<h2>Accuracy and scores</h2>",
        _table(rows),
        "<h2>Do scores mean what they say?</h2>",
        _diagrams(firsts),
        "<h2>Labels that attract wrong videos</h2>",
        "<p>How often a label is the first tag, and how often of these it is wrong.</p>",
        table(
            ("label", "first", "wrong"),
            [
                (html.escape(name), str(every), str(wrong))
                for name, wrong, every in attractors(case, firsts)
            ],
        ),
    ]
    if points:
        sections += ["<h2>Accuracy and cost</h2>", _curve(points)]
    page = PAGE.substitute(
        title=f"Everyday videos: {html.escape(tagger.model_id)}",
        introduction=f"Checkpoint {tagger.revision}. {len(case.labels)} everyday videos, each "
        f"asked for {len(set(case.labels))} labels. Choices were made and scores fitted on these "
        "videos, so that the figures flatter the checkpoint; nothing was trained on them.",
        sections="\n".join(sections),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "everyday.html").write_text(page, encoding="utf-8")
    figures = {
        "revision": tagger.revision,
        "figures": plain(rows),
        "curve": [
            {"side": side, "frames": frames, "milliseconds": round(cost, 1), **plain(found)}
            for (side, frames), (found, cost) in sorted(points.items())
        ],
    }
    text = json.dumps(figures, indent=1) + "\n"
    (folder / "everyday.json").write_text(text, encoding="utf-8")


def _table(rows: Mapping[str, Everyday]) -> str:
    return table(
        (
            *("", "top-1", "95 %", "top-5", "sure and right", "calibration error"),
            *("AUROC of unknown", "score + unknown over 1"),
        ),
        [
            (
                html.escape(name),
                percent(found.top1[0]),
                f"{percent(found.top1[1])} to {percent(found.top1[2])}",
                percent(found.top5[0]),
                f"{found.sure_right:.2f} of {found.sure}",
                f"{found.calibration_error:.3f}",
                f"{found.unknown_auroc:.3f}",
                str(found.over_one),
            )
            for name, found in rows.items()
        ],
    )


def _diagrams(firsts: Firsts) -> str:
    unknown = np.concatenate([firsts.known, firsts.missing])
    is_missing = np.repeat([False, True], [len(firsts.known), len(firsts.missing)])
    plots = {
        "Score of the first tag among all labels": reliability(firsts.scores, firsts.right),
        "Unknown, sets of ten labels with and without the right one": reliability(
            unknown, is_missing
        ),
    }
    figures = [
        f'<figure><img alt="{name}" src="{reliability_plot(diagram)}">'
        f"<figcaption>{name}; calibration error {diagram.error:.3f}</figcaption></figure>"
        for name, diagram in plots.items()
    ]
    return f'<div class="pair">{"".join(figures)}</div>'


def _curve(points: Mapping[tuple[int, int], tuple[Everyday, float]]) -> str:
    sides = sorted({side for side, _ in points})
    lines = []
    for side in sides:
        own = sorted((cost, found.top1[0]) for (s, _), (found, cost) in points.items() if s == side)
        lines.append((f"{side} px", [cost for cost, _ in own], [100 * top1 for _, top1 in own]))
    plot = line_plot(lines, horizontal="processor ms a video", vertical="top-1, per cent")
    rows = [
        (f"{side} px", str(frames), percent(found.top1[0]), percent(found.top5[0]), f"{cost:.0f}")
        for (side, frames), (found, cost) in sorted(points.items())
    ]
    figure = f'<figure><img alt="Accuracy and cost" src="{plot}"></figure>'
    return figure + table(("size", "frames", "top-1", "top-5", "processor ms a video"), rows)
