"""`kinolex evaluate`: measure a checkpoint on labelled samples."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.exits import expected_errors
from app.cli.progress import sample_progress
from app.cli.training.options import Device, Manifests, Threads, use_threads


def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="Checkpoint directory or Hub id.")],
    data: Manifests,
    out: Annotated[Path, typer.Option(help="Directory for report.html and report.json.")],
    held_out: Annotated[
        str | None,
        typer.Option(
            help="Split that names the held-out classes: a name or a TOML file. Default: the "
            "checkpoint's own."
        ),
    ] = None,
    clips: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Also measure with this number of clips per video; may be repeated."
        ),
    ] = None,
    with_pictures: Annotated[
        bool, typer.Option("--with-pictures", help="Show pictures of the nearest clips.")
    ] = False,
    device: Device = "cpu",
    threads: Threads = 0,
) -> None:
    """Measure a checkpoint on classes that it was not trained on and write a report."""
    with expected_errors(), sample_progress() as (log, progress):
        from model.training.measure.evaluate import EvaluationOptions
        from model.training.measure.evaluate import evaluate as measure
        from model.training.report.evaluation_report import write_report

        use_threads(threads)
        options = EvaluationOptions(tuple(clips or ()), with_pictures, progress, log)
        report = measure(checkpoint, data, options, held_out=held_out, device=device)
        page = write_report(report, out)
    typer.echo(page)
