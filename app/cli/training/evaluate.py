"""`kinolex evaluate`: measure a checkpoint on labelled samples."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.exits import expected_errors
from app.cli.progress import sample_progress
from app.cli.training.options import Device, Fold, Threads, use_threads

if TYPE_CHECKING:
    from model.training.data.manifest import Sample


def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="Checkpoint directory or Hub id.")],
    out: Annotated[Path, typer.Option(help="Directory for report.html and report.json.")],
    layout: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DIR",
            help="Data set as it is published, such as ucf101=/data/ucf101, with the layouts of "
            "`kinolex data manifest`; may be repeated.",
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Manifest of samples; may be repeated.", exists=True, dir_okay=False),
    ] = None,
    fold: Fold = 1,
    all_samples: Annotated[
        bool,
        typer.Option(
            "--all-samples",
            help="Test on all samples, as the paper's code does, instead of the split `test`.",
        ),
    ] = False,
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
    if not layout and not data:
        raise typer.BadParameter("Name samples to measure on.", param_hint="--layout or --data")
    with expected_errors(), sample_progress() as (log, progress):
        from model.training.measure.evaluate import EvaluationOptions
        from model.training.measure.evaluate import evaluate as measure
        from model.training.report.evaluation_report import write_report

        use_threads(threads)
        options = EvaluationOptions(tuple(clips or ()), with_pictures, progress, log)
        samples = _samples(layout or (), data or (), fold)
        if all_samples:
            samples = [replace(sample, split="test") for sample in samples]
        report = measure(checkpoint, samples, options, held_out=held_out, device=device)
        page = write_report(report, out)
    typer.echo(page)


def _samples(layouts: Sequence[str], manifests: Sequence[Path], fold: int) -> "list[Sample]":
    from model.training.data.layouts import import_layout
    from model.training.data.manifest import read_manifest

    samples = [sample for path in manifests for sample in read_manifest(path)]
    for each in layouts:
        name, _, root = each.partition("=")
        if not root:
            raise ValueError(f"{each!r} is not NAME=DIR, such as ucf101=/data/ucf101")
        samples += import_layout(name, Path(root), fold=fold).samples
    return samples
