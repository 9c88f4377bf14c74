"""`kinolex checkpoint`: models made elsewhere become checkpoints; what a checkpoint is.

Only the command line knows training, and only inside the commands.
"""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from model import KinolexError

cli = typer.Typer(
    name="checkpoint",
    help="Import and convert models made elsewhere; show what a checkpoint is.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

Out = Annotated[Path, typer.Option(help="Folder of the new checkpoint.", file_okay=False)]
Bank = Annotated[
    list[Path] | None,
    typer.Option(
        help="Manifest whose samples give scores a meaning; may be repeated.",
        exists=True,
        dir_okay=False,
    ),
]
Device = Annotated[str, typer.Option(help="cpu or cuda, for --bank.")]


@cli.command("import")
def import_(
    model: Annotated[
        str, typer.Argument(help="CLIP or SigLIP: a folder of transformers, or a Hub id.")
    ],
    out: Out,
    frames: Annotated[int, typer.Option(min=1, max=256, help="Frames per video.")] = 8,
    template: Annotated[
        list[str] | None, typer.Option(help="Text for a label, with one {}; may be repeated.")
    ] = None,
    bank: Bank = None,
    device: Device = "cpu",
) -> None:
    """Make a checkpoint of an image-text model."""
    from model.training.convert.image_text import import_model

    options = ["--frames", str(frames)]
    for each in template or ():
        options += ["--template", each]
    with _clear_errors():
        import_model(
            model,
            out,
            command=_command("import", [Path(model).name, *options], bank, out),
            frames=frames,
            templates=template or ("{}",),
            bank=bank or (),
            device=device,
            say=_say,
        )
    _say_how_to_serve(out)


@cli.command()
def convert(
    file: Annotated[
        Path,
        typer.Argument(
            help="checkpoint.pth.tar of the official code.", exists=True, dir_okay=False
        ),
    ],
    text_model: Annotated[
        str, typer.Option(help="The word vectors it was trained with, as a text file.")
    ],
    out: Out,
    clips: Annotated[int, typer.Option(min=1, max=100, help="Clips per video; paper: 25.")] = 1,
    bank: Bank = None,
    device: Device = "cpu",
) -> None:
    """Make a checkpoint of one that the official code of Brattoli et al. wrote."""
    from model.training.convert.official import convert as convert_official

    options = [file.name, "--text-model", Path(text_model).name, "--clips", str(clips)]
    with _clear_errors():
        convert_official(
            file,
            text_model,
            out,
            command=_command("convert", options, bank, out),
            clips=clips,
            bank=bank or (),
            device=device,
            say=_say,
        )
    _say_how_to_serve(out)


@cli.command()
def show(
    checkpoint: Annotated[str, typer.Argument(help="Checkpoint directory or Hub id.")],
) -> None:
    """Say in a few lines what a checkpoint is."""
    from model.training.convert.summary import summary_of

    with _clear_errors():
        found = summary_of(checkpoint)
    widest = max(map(len, found))
    for name, value in found.items():
        typer.echo(f"{name:<{widest}}  {value}")


@contextmanager
def _clear_errors() -> Iterator[None]:
    """What can go wrong becomes one line and exit code 2."""
    try:
        yield
    except (KinolexError, OSError, ValueError) as error:
        typer.echo(" ".join(str(error).split()), err=True)
        raise typer.Exit(2) from error


def _command(name: str, options: Sequence[str], bank: Sequence[Path] | None, out: Path) -> str:
    """What the model card says to repeat; without the folders of this computer."""
    banks = [part for path in bank or () for part in ("--bank", f"{path.parent.name}/{path.name}")]
    return shlex.join(["kinolex", "checkpoint", name, *options, *banks, "--out", out.name])


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _say_how_to_serve(out: Path) -> None:
    typer.echo(f"{out}/ serves: KINOLEX_CHECKPOINT={shlex.quote(str(out))} kinolex serve")
