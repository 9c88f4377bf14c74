"""An evaluation as one self-contained HTML page and as JSON."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from model.training.measure.evaluate import Report, SuiteReport
from model.training.measure.figures import RAW, SERVED, Figures, Together
from model.training.measure.intervals import Interval
from model.training.report.pages import PAGE, percent, plain, table
from model.training.report.plots import generalised_plot, map_plot, reliability_plot


def write_report(report: Report, out: Path) -> Path:
    """Write `report.html` and `report.json` into the folder `out`; return the page's path."""
    out.mkdir(parents=True, exist_ok=True)
    document = json.dumps(as_document(report), indent=1, allow_nan=False)
    (out / "report.json").write_text(document + "\n", encoding="utf-8")
    page = out / "report.html"
    page.write_text(as_html(report), encoding="utf-8")
    return page


def as_document(report: Report) -> dict[str, Any]:
    """Convert the report to JSON values, without pictures; NaN and infinity become null."""
    document: dict[str, Any] = plain(report)
    for suite in document["suites"]:
        del suite["pictures"]
    return document


def as_html(report: Report) -> str:
    """Render the report as one HTML page."""
    split = (
        f"the split {escape(report.held_out)}" if report.held_out else "the manifest's own split"
    )
    introduction = (
        f"Revision {escape(report.revision)}. Unseen classes as in {split}: neither these classes "
        "nor texts that overlap with them were trained on. Brackets hold 95 % intervals "
        "that resample whole classes, not clips. <i>Served</i> ranks as the service does, by "
        "similarity standardised over the checkpoint's background bank; <i>raw</i> is the plain "
        "cosine."
    )
    sections = [_section(suite) for suite in report.suites]
    if report.left_out:
        sections.append("<h2>Not tested</h2><p>" + "<br>".join(map(escape, report.left_out)))
    return PAGE.substitute(
        title=f"{escape(report.model_id)}: unseen classes",
        introduction=introduction,
        sections="\n".join(sections),
    )


def _section(suite: SuiteReport) -> str:
    served = suite.figures[SERVED]
    parts = [
        f"<h2>{escape(suite.name)}</h2>",
        f"<p>{served.accuracy.samples} clips of {served.accuracy.classes} unseen classes"
        + (f"; {len(suite.broken)} files could not be read" if suite.broken else "")
        + ".</p>",
        _tiles(suite, served),
        "<h3>Figures</h3>",
        _figures_table(suite.figures),
    ]
    if suite.are_stills:
        parts.append(
            "<p>All of these clips are still pictures. However many clips are taken of a still "
            "picture, one (as here) or 25, they are the same, and so are all figures.</p>"
        )
    if suite.by_clips:
        parts += ["<h3>Number of clips</h3>", _clips_table(suite.by_clips)]
    if suite.together:
        parts += ["<h3>Seen and unseen labels together</h3>", _together_table(suite.together)]
    parts += [_plots(suite), "<h3>Classes</h3>", _classes_table(suite)]
    if suite.confusions:
        parts += ["<h3>Most frequent mistakes</h3>", _confusions_table(suite)]
    parts += [
        "<h3>Map</h3><p>Every label (grey seen, black unseen), with a line to its nearest clip, "
        "and a few clips of each as dots. Near points are similar; large distances mean "
        "nothing (t-SNE).</p>",
        map_plot(suite.map),
    ]
    if suite.pictures:
        parts += ["<h3>Nearest clip of each label</h3>", _gallery(suite.pictures)]
    return "\n".join(parts)


def _tiles(suite: SuiteReport, served: Figures) -> str:
    chance = 1 / served.accuracy.classes
    tiles = [
        ("top-1", percent(served.top1.value), f"{_range(served.top1)}, chance {percent(chance)}"),
        ("top-5", percent(served.top5.value), _range(served.top5)),
        ("top-1 among half of the classes", percent(_mean(served.half_splits.top1)), "EP1"),
        (
            "unknown separated from known",
            percent(_mean(served.rejection)),
            "AUROC, half of the classes unknown",
        ),
        ("calibration error", percent(suite.reliability.error), "of the first tag's score"),
    ]
    if SERVED in suite.together:
        both = suite.together[SERVED]
        seen, unseen, mean = both.after or both.before
        tiles.append(
            (
                f"harmonic mean of {both.labels} labels",
                percent(mean),
                f"seen {percent(seen)}, unseen {percent(unseen)}",
            )
        )
    body = "".join(
        f'<div class="tile"><span>{name}</span><b>{value}</b><small>{note}</small></div>'
        for name, value, note in tiles
    )
    return f'<div class="tiles">{body}</div>'


def _figures_table(figures: Mapping[str, Figures]) -> str:
    rows = [
        (
            kind,
            f"{percent(f.top1.value)} {_range(f.top1)}",
            f"{percent(f.top5.value)} {_range(f.top5)}",
            percent(f.accuracy.class_top1),
            f"{percent(_mean(f.half_splits.top1))} / {percent(_mean(f.half_splits.top5))}",
            percent(_mean(f.rejection)),
            f"{percent(f.unfamiliar.top1)} of {f.unfamiliar.classes}" if f.unfamiliar else "",
        )
        for kind, f in figures.items()
    ]
    head = (
        *("ranked by", "top-1 (EP2)", "top-5 (EP2)", "class mean", "EP1 top-1 / top-5"),
        *("AUROC unknown", "top-1 without classes known from pretraining"),
    )
    note = (
        "<p>EP2 ranks all unseen classes, EP1 a random half of them, mean of ten draws. AUROC: how "
        "well the maximum similarity separates clips of one half of the classes, which are the "
        "labels, from clips of the other half; ranked raw, it is the usual maximum cosine.</p>"
    )
    return table(head, rows) + note


def _together_table(together: Mapping[str, Together]) -> str:
    rows = [
        (
            kind,
            str(both.labels),
            f"{percent(both.unseen.top1)} / {percent(both.unseen.top5)}",
            _triple(both.before),
            _triple(both.after) if both.after else "",
            percent(both.best_harmonic),
            percent(both.area),
        )
        for kind, both in together.items()
    ]
    head = (
        *("ranked by", "labels", "unseen top-1 / top-5", "seen, unseen, mean"),
        *("with a handicap for seen labels", "best possible mean", "AUSUC"),
    )
    trained = any(both.known_were_trained for both in together.values())
    note = (
        "<p>The clips of seen classes are training clips: their accuracy is too high, and so are "
        "the means.</p>"
    )
    return table(head, rows) + (note if trained else "")


def _clips_table(by_clips: Mapping[int, Interval]) -> str:
    rows = [
        (str(count), f"{percent(top1.value)} {_range(top1)}") for count, top1 in by_clips.items()
    ]
    return table(("clips", "top-1"), rows)


def _plots(suite: SuiteReport) -> str:
    plots = [("Scores: how often the first tag is correct", reliability_plot(suite.reliability))]
    if suite.together:
        curves = [(kind, suite.together[kind].curve) for kind in (RAW, SERVED)]
        plots.append(("Seen against unseen, for every handicap", generalised_plot(curves)))
    return (
        '<div class="pair">'
        + "".join(
            f'<figure><h3>{title}</h3><img src="{uri}" alt="{title}"></figure>'
            for title, uri in plots
        )
        + "</div>"
    )


def _classes_table(suite: SuiteReport) -> str:
    rows = [
        (
            f"{escape(row.label)}{' *' if row.is_familiar else ''}",
            str(row.samples),
            f'<span class="bar" style="width:{6 * row.top1:.2f}rem"></span> {percent(row.top1)}',
            percent(row.top5),
            escape(row.mistaken_for),
        )
        for row in suite.classes
    ]
    listed = table(("class", "clips", "top-1", "top-5", "most often mistaken for"), rows)
    familiar = any(row.is_familiar for row in suite.classes)
    return listed + ("<p>* overlaps with a class of the pretraining.</p>" if familiar else "")


def _confusions_table(suite: SuiteReport) -> str:
    rows = [
        (escape(pair.true), escape(pair.predicted), str(pair.count), percent(pair.share))
        for pair in suite.confusions
    ]
    return table(("class", "predicted", "clips", "share of the class"), rows)


def _gallery(pictures: Mapping[str, str]) -> str:
    return (
        '<div class="gallery">'
        + "".join(
            f'<figure><img src="{uri}" alt=""><figcaption>{escape(label)}</figcaption></figure>'
            for label, uri in pictures.items()
        )
        + "</div>"
    )


def _range(interval: Interval) -> str:
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _triple(figures: tuple[float, float, float]) -> str:
    return ", ".join(f"{100 * figure:.1f}" for figure in figures) + " %"


def _mean(figures: Sequence[float]) -> float:
    return sum(figures) / len(figures)
