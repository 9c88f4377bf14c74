"""`kinolex train`, `train compare` and `evaluate`: options to a call of `model.training`.

Only the command line knows training, and only inside the commands.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from model import KinolexError

cli = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)

Manifests = Annotated[
    list[Path],
    typer.Option(help="Manifest of samples; may be repeated.", exists=True, dir_okay=False),
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads of torch; 0 leaves it to torch.")]
Preset = Annotated[str, typer.Option(help="Preset by name, or a .toml file.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Instead of the preset's.")]
Init = Annotated[
    str | None,
    typer.Option(
        help="scratch, imagenet, R2Plus1D_18_Weights.KINETICS400_V1 or a file of such weights, a "
        "checkpoint's directory, or a CLIP or SigLIP by folder or Hub id."
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(help="fp32, bf16, or probe for the faster one. Instead of the preset's."),
]
Workers = Annotated[int, typer.Option(min=0, help="Processes that read ahead, for each trainer.")]
TextModel = Annotated[
    str | None,
    typer.Option(
        help="sentence-transformers model by name or folder, or a text file of word vectors."
    ),
]
DroppedOverlap = Annotated[
    str | None,
    typer.Option(
        help="What becomes of training texts that overlap with held-out classes, instead of what "
        "the split says: drop, keep, refuse, or a table from `kinolex data overlap`."
    ),
]


@cli.command(epilog="`kinolex train compare` sets end to end against frozen networks.")
def train(
    data: Manifests,
    out: Annotated[Path, typer.Option(help="Folder for state, log and checkpoint.")],
    preset: Preset = "small",
    steps: Steps = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Instead of the preset's.")] = None,
    init: Init = None,
    held_out: Annotated[
        str | None, typer.Option(help="Split whose classes stay unseen, by name or path.")
    ] = None,
    overlap: DroppedOverlap = None,
    text_model: TextModel = None,
    precision: Precision = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Stop, save and ship after so long.")
    ] = None,
    workers: Workers = 1,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Log for TensorBoard, too.")
    ] = False,
    device: Device = "cpu",
    threads: Threads = 0,
) -> None:
    """Train a checkpoint; the same command goes on with an interrupted run."""
    with refusals():
        from model.training.config import read_preset
        from model.training.run import run

        command = ["kinolex", "train", "--preset", preset]
        changes = {
            "steps": steps,
            "seed": seed,
            "init": init,
            "held_out": held_out,
            "precision": precision,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        further = {"overlap": overlap, "text-model": text_model, "max-minutes": max_minutes}
        for name, value in [*given.items(), *further.items()]:
            command += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
        for manifest in data:
            command += ["--data", f"{manifest.parent.name}/{manifest.name}"]
        _use_threads(threads)
        directory = run(
            read_preset(preset, **given),
            data,
            out,
            command=[*command, "--out", out.name],
            overlap=overlap,
            device=device,
            workers=workers,
            max_minutes=max_minutes or float("inf"),
            tensorboard=tensorboard,
            text_model=text_model,
            say=typer.echo,
        )
    if directory is not None:
        typer.echo(f"{directory}/ serves: KINOLEX_CHECKPOINT={directory} make serve")


@cli.command()
def compare(
    data: Manifests,
    out: Annotated[Path, typer.Option(help="Folder for answers, features and the report.")],
    preset: Preset = "small",
    steps: Steps = None,
    init: Init = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="Split by name or path; repeated, each is a fold. Default: preset's."),
    ] = None,
    folds: Annotated[
        int, typer.Option(min=0, help="Instead of splits: every class is tested once.")
    ] = 0,
    classes_of: Annotated[
        list[str] | None,
        typer.Option(help="With --folds: data set or zip file to take classes from; repeatable."),
    ] = None,
    overlap: DroppedOverlap = None,
    arms: Annotated[str, typer.Option(help="Arms, separated by commas; all by default.")] = "",
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "0",
    trained: Annotated[
        list[Path] | None,
        typer.Option(help="Checkpoint to be arm E instead of training it, one for each fold."),
    ] = None,
    growth_samples: Annotated[
        str, typer.Option(help="Shares of all samples for a growth curve, as 0.1,0.3,1.")
    ] = "",
    growth_classes: Annotated[
        str, typer.Option(help="Numbers of classes for a growth curve, as 25,50,100.")
    ] = "",
    text_model: TextModel = None,
    workers: Workers = 1,
    device: Device = "cpu",
    threads: Threads = 0,
) -> None:
    """Compare end to end with frozen networks on unseen classes; write a report.

    The same command goes on where it was stopped.
    """
    with refusals(), telling() as (say, progress):
        from model.training.compare.baselines import ARMS
        from model.training.compare.comparison import Growth, Question, run_comparison
        from model.training.compare.fold import Settings
        from model.training.config import read_preset

        changes = {"steps": steps, "init": init}
        _use_threads(threads)
        page = run_comparison(
            read_preset(preset, **{k: v for k, v in changes.items() if v is not None}),
            data,
            Settings(
                out,
                device=device,
                trained=tuple(trained or ()),
                workers=workers,
                say=say,
                progress=progress,
            ),
            Question(tuple(split or ()), folds, tuple(classes_of or ()), overlap),
            arms=_listed(arms) or ARMS,
            text_model=text_model,
            seeds=tuple(map(int, _listed(seeds))),
            growth=Growth(
                tuple(map(float, _listed(growth_samples))),
                tuple(map(int, _listed(growth_classes))),
            ),
        )
    typer.echo(page)


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
    with refusals(), telling() as (say, progress):
        from model.training.measure.evaluate import evaluate as examine
        from model.training.report.evaluation_report import write_report

        _use_threads(threads)
        report = examine(
            checkpoint,
            data,
            held_out=held_out,
            clips=clips or (),
            with_pictures=with_pictures,
            device=device,
            progress=progress,
            say=say,
        )
        page = write_report(report, out)
    typer.echo(page)


@contextmanager
def refusals() -> Iterator[None]:
    """What training refuses, said on stderr without a traceback, with exit code 2."""
    try:
        yield
    except (ValueError, OSError, KinolexError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except RuntimeError as error:
        from model.training.compare.trained_arms import Stopped

        if not isinstance(error, Stopped):
            raise
        typer.echo(f"{error}; the same command goes on", err=True)
        raise typer.Exit(1) from error
    except ModuleNotFoundError as error:
        extra = "tensorboard" if "tensorboard" in str(error) else "train"
        typer.echo(f"{error}: this needs `pip install 'kinolex[{extra}]'`", err=True)
        raise typer.Exit(2) from error


@contextmanager
def telling() -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """Something to say lines with, and something that shows how many of how many are done."""
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task("samples", total=None)
        yield (
            lambda line: bar.console.print(line, markup=False, highlight=False, soft_wrap=True),
            lambda done, total: bar.update(task, completed=done, total=total),
        )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _use_threads(threads: int) -> None:
    import torch

    if threads:
        torch.set_num_threads(threads)
