"""The entry point of `kinolex`: the commands, `--help` and `--version`.

The modules of the commands import only typer and the standard library at the top. A command
function imports what it needs when it runs, so that help and shell completion load neither torch
nor the database. Building all commands takes 7 ms.
"""

import atexit
import gc
import os
from typing import Annotated

import typer

from app.cli import keys, serve
from app.cli.archive import group as archive
from app.cli.doctor import command as doctor
from app.cli.labels import commands as labels
from app.cli.remote import jobs, search
from app.cli.training import checkpoint, data, evaluate, evaluate_mteb, train
from app.cli.videos import classify

cli = typer.Typer(
    name="kinolex",
    help="Tag videos with labels of your own words.",
    no_args_is_help=True,
    # plain text: importing rich would double the time that help takes
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
)

cli.command()(classify.classify)
cli.command()(serve.serve)
cli.add_typer(labels.cli, name="labels")
cli.add_typer(keys.cli, name="keys")
cli.command()(search.search)
cli.add_typer(jobs.cli, name="jobs")
cli.add_typer(archive.cli, name="archive")
cli.add_typer(train.cli, name="train")
cli.command()(evaluate.evaluate)
cli.command()(evaluate_mteb.evaluate_mteb)
cli.add_typer(data.cli, name="data")
cli.add_typer(checkpoint.cli, name="checkpoint")
cli.command()(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"kinolex {version('kinolex')}")
        raise typer.Exit


@cli.callback()
def kinolex(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            callback=_print_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Tag videos with labels of your own words."""


def main() -> None:
    """Run the command that the process's arguments name."""
    # NumPy's products are small here. With a thread for each core, the threads wait for each other
    # in a loop, and beside other work scoring a video takes half as long as encoding it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # noqa: TID251  # NumPy reads it when loaded
    # the interpreter's last collections would scan all that the command has loaded
    atexit.register(gc.freeze)
    cli(prog_name="kinolex")


if __name__ == "__main__":
    main()
