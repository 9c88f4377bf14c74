"""The page of `everyday`: reliability diagrams, cost, and labels that attract."""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.accuracy.everyday import Case, Everyday, Firsts, attractors
from benchmarks.accuracy.everyday_scores import SizeRow, TaughtRow
from model import Tagger
from model.training.measure.metrics import reliability
from model.training.report.pages import PAGE, percent, plain, table
from model.training.report.plots import line_plot, reliability_plot


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Findings:
    """Everything that the page shows; `points` are (pixels, frames) to figures and processor ms."""

    case: Case
    firsts: Firsts
    rows: Mapping[str, Everyday]
    sizes: Sequence[SizeRow]
    taught: Sequence[TaughtRow]
    points: Mapping[tuple[int, int], tuple[Everyday, float]]


def write_report(folder: Path, tagger: Tagger, found: Findings) -> None:
    """Write `folder/everyday.html`, and the same figures as everyday.json."""
    case, firsts, points = found.case, found.firsts, found.points
    sections = [
        "<h2>Accuracy and scores</h2>",
        _table(found.rows),
        "<h2>Do scores mean what they say?</h2>",
        _diagrams(firsts),
        "<h2>Scores by size of the label set</h2>",
        "<p>Random sets, which have the right label as often as the scores were fitted for.</p>",
        _sizes(found.sizes),
        "<h2>Scores of labels that were taught one example</h2>",
        "<p>Labels with several videos: one is the example, the others are tagged with all labels."
        "</p>",
        _taught(found.taught),
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
        "figures": plain(found.rows),
        "label_set_sizes": plain(found.sizes),
        "taught": plain(found.taught),
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


def _sizes(rows: Sequence[SizeRow]) -> str:
    return table(
        (
            *("labels", "sets with the right one", "calibration error of the first tag"),
            "of unknown",
            *("AUROC of unknown", "sure and right"),
        ),
        [
            (
                str(row.size),
                percent(row.with_right),
                f"{row.first_error:.3f}",
                f"{row.unknown_error:.3f}",
                f"{row.unknown_auroc:.3f}",
                f"{row.sure_right:.2f} of {row.sure}",
            )
            for row in rows
        ],
    )


def _taught(rows: Sequence[TaughtRow]) -> str:
    return table(
        ("", "videos", "labels", "first tag right", "its mean score", "calibration error"),
        [
            (
                html.escape(row.name),
                str(row.videos),
                str(row.labels),
                percent(row.right),
                percent(row.mean_score),
                f"{row.calibration_error:.3f}",
            )
            for row in rows
        ],
    )


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
