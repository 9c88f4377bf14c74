"""`kinolex train` and `kinolex evaluate`: options to a call of `model.training`.

Only the command line knows training, and only inside the commands.
"""

from pathlib import Path
from typing import Annotated

import typer

cli = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)

Manifests = Annotated[
    list[Path],
    typer.Option(help="Manifest of samples; may be repeated.", exists=True, dir_okay=False),
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads of torch; 0 leaves it to torch.")]


@cli.command()
def train(
    data: Manifests,
    out: Annotated[Path, typer.Option(help="Folder for state, log and checkpoint.")],
    preset: Annotated[str, typer.Option(help="Preset by name, or a .toml file.")] = "small",
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of the preset's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the preset's.")] = None,
    init: Annotated[
        str | None, typer.Option(help="scratch, imagenet, or a checkpoint's directory.")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Stop, save and ship after so long.")
    ] = None,
    device: Device = "cpu",
    threads: Threads = 0,
) -> None:
    """Train a checkpoint; the same command goes on with an interrupted run."""
    from model.training.config import read_preset
    from model.training.run import run

    command = ["kinolex", "train", "--preset", preset]
    changes = {"steps": steps, "seed": seed, "init": init}
    given = {name: value for name, value in changes.items() if value is not None}
    for name, value in [*given.items(), ("max-minutes", max_minutes)]:
        command += [f"--{name}", str(value)] if value is not None else []
    for manifest in data:
        command += ["--data", f"{manifest.parent.name}/{manifest.name}"]
    _use_threads(threads)
    directory = run(
        read_preset(preset, **given),
        data,
        out,
        command=[*command, "--out", out.name],
        device=device,
        max_minutes=max_minutes or float("inf"),
        say=typer.echo,
    )
    if directory is not None:
        typer.echo(f"{directory}/ serves: KINOLEX_CHECKPOINT={directory} make serve")


@cli.command()
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="Checkpoint directory or Hub id.")],
    data: Manifests,
    out: Annotated[Path, typer.Option(help="Folder for report.html and report.json.")],
    held_out: Annotated[
        str | None,
        typer.Option(help="Split that names the unseen classes; by default the checkpoint's own."),
    ] = None,
    clips: Annotated[
        list[int] | None, typer.Option(min=1, help="Also with this many clips of each video.")
    ] = None,
    with_pictures: Annotated[
        bool, typer.Option("--with-pictures", help="Show the nearest clips' pictures.")
    ] = False,
    device: Device = "cpu",
    threads: Threads = 0,
) -> None:
    """Measure a checkpoint on classes that its training never saw; write a report."""
    from rich.progress import Progress

    from model.training.evaluate import evaluate as examine
    from model.training.report import write_report

    _use_threads(threads)
    with Progress(transient=True) as bar:
        task = bar.add_task("embedding", total=None)
        report = examine(
            checkpoint,
            data,
            held_out=held_out,
            clips=clips or (),
            with_pictures=with_pictures,
            device=device,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            say=bar.console.print,
        )
    typer.echo(write_report(report, out))


def _use_threads(threads: int) -> None:
    import torch

    if threads:
        torch.set_num_threads(threads)
