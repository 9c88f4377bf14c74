"""`kinolex train`: train a checkpoint; `kinolex train compare`: compare training with baselines."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.exits import expected_errors
from app.cli.progress import sample_progress
from app.cli.training.options import (
    Device,
    Init,
    Manifests,
    Overlap,
    Precision,
    Preset,
    Steps,
    TextModel,
    Threads,
    Workers,
    use_threads,
)

cli = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND [ARGS]...]")


@cli.callback()
def train(
    context: typer.Context,
    # required by `train`, not by `train compare`
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Manifest of samples; may be repeated. Required.", exists=True, dir_okay=False
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory for state, log and checkpoint. Required.")
    ] = None,
    preset: Preset = "small",
    steps: Steps = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Random seed; overrides the preset.")
    ] = None,
    init: Init = None,
    held_out: Annotated[
        str | None,
        typer.Option(help="Split whose classes are held out: a name or a TOML file."),
    ] = None,
    overlap: Overlap = None,
    text_model: TextModel = None,
    precision: Precision = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(min=0.1, help="Stop after this time and write the checkpoint."),
    ] = None,
    workers: Workers = 1,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write a log for TensorBoard.")
    ] = False,
    device: Device = "cpu",
    threads: Threads = 0,
) -> None:
    """Train a checkpoint. The same command continues an interrupted run."""
    if context.invoked_subcommand is not None:
        _refuse_options_before(context, context.invoked_subcommand)
        return
    if not data:
        context.fail("Missing option '--data'.")
    if out is None:
        context.fail("Missing option '--out'.")
    with expected_errors():
        from model.training.config import read_preset
        from model.training.resources import TrainingResources
        from model.training.run import RunRequest, run

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
        use_threads(threads)
        request = RunRequest(
            config=read_preset(preset, **given),
            manifests=tuple(data),
            out=out,
            command=(*command, "--out", out.name),
            overlap=overlap,
            text_model=text_model,
        )
        resources = TrainingResources(
            device=device,
            workers=workers,
            max_minutes=max_minutes or float("inf"),
            tensorboard=tensorboard,
            log=typer.echo,
        )
        directory = run(request, resources)
    if directory is not None:
        typer.echo(f"{directory}/ serves: KINOLEX_CHECKPOINT={directory} make serve")


def _refuse_options_before(context: typer.Context, command: str) -> None:
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            context.fail(f"Options must come after '{command}'.")


@cli.command()
def compare(
    data: Manifests,
    out: Annotated[Path, typer.Option(help="Directory for results, features and the report.")],
    preset: Preset = "small",
    steps: Steps = None,
    init: Init = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Split of the classes: a name or a TOML file. May be repeated; each split is a "
            "fold. Default: the preset's."
        ),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            min=0, help="Number of folds; every class is tested in one of them. Replaces --split."
        ),
    ] = 0,
    classes_of: Annotated[
        list[str] | None,
        typer.Option(
            help="With --folds: data set or zip file whose classes are used; may be repeated."
        ),
    ] = None,
    overlap: Overlap = None,
    arms: Annotated[str, typer.Option(help="Arms, separated by commas; default: all.")] = "",
    seeds: Annotated[str, typer.Option(help="Random seeds, separated by commas.")] = "0",
    trained: Annotated[
        list[Path] | None,
        typer.Option(help="Checkpoint that arm E uses instead of training; one for each fold."),
    ] = None,
    growth_samples: Annotated[
        str, typer.Option(help="Growth curve over shares of the samples, such as 0.1,0.3,1.")
    ] = "",
    growth_classes: Annotated[
        str, typer.Option(help="Growth curve over numbers of classes, such as 25,50,100.")
    ] = "",
    text_model: TextModel = None,
    workers: Workers = 1,
    device: Device = "cpu",
    threads: Threads = 0,
) -> None:
    """Compare end-to-end training with frozen networks on held-out classes and write a report.

    The same command continues an interrupted comparison.
    """
    with expected_errors(), sample_progress() as (log, progress):
        from model.training.compare.compare_arms import ARMS
        from model.training.compare.comparison import (
            ComparisonRequest,
            GrowthParts,
            UnseenClasses,
            run_comparison,
        )
        from model.training.compare.fold import Settings
        from model.training.config import read_preset

        changes = {"steps": steps, "init": init}
        use_threads(threads)
        request = ComparisonRequest(
            config=read_preset(preset, **{k: v for k, v in changes.items() if v is not None}),
            manifests=tuple(data),
            unseen=UnseenClasses(tuple(split or ()), folds, tuple(classes_of or ()), overlap),
            arms=tuple(_items(arms)) or ARMS,
            seeds=tuple(map(int, _items(seeds))),
            growth=GrowthParts(
                tuple(map(float, _items(growth_samples))),
                tuple(map(int, _items(growth_classes))),
            ),
            text_model=text_model,
        )
        settings = Settings(
            out,
            device=device,
            trained=tuple(trained or ()),
            workers=workers,
            log=log,
            progress=progress,
        )
        page = run_comparison(request, settings)
    typer.echo(page)


def _items(text: str) -> list[str]:
    """Split a comma-separated list."""
    return [part.strip() for part in text.split(",") if part.strip()]
