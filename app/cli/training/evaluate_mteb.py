"""`kinolex evaluate-mteb`: measure a checkpoint on public tasks of mteb."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.exits import expected_errors
from app.cli.progress import sample_progress
from app.cli.training.options import Device, Threads, use_threads


def evaluate_mteb(
    checkpoint: Annotated[str, typer.Argument(help="Checkpoint directory or Hub id.")],
    out: Annotated[Path, typer.Option(help="Directory for one JSON file of each task.")],
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of a task of mteb with videos; may be repeated. Default: zero-shot UCF101, "
            "HMDB51, Kinetics-400, 600 and 700."
        ),
    ] = None,
    device: Device = "cpu",
    threads: Threads = 0,
) -> None:
    """Measure a checkpoint on the video tasks of mteb (MVEB), which downloads their data."""
    with expected_errors(), sample_progress() as (_, progress):
        from model.training.measure.mteb_tasks import ACTION_TASKS, evaluate_on_mteb

        use_threads(threads)
        scores = evaluate_on_mteb(
            checkpoint, task or ACTION_TASKS, out, device=device, progress=progress
        )
    for name, score in scores.items():
        typer.echo(f"{name}  {100 * score:.1f} %")
