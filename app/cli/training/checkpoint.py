"""`kinolex checkpoint`: import and convert models of other projects; describe a checkpoint."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from app.cli.exits import expected_errors

cli = typer.Typer(
    help="Import and convert models of other projects; describe a checkpoint.",
    no_args_is_help=True,
)

Out = Annotated[Path, typer.Option(help="Directory of the new checkpoint.", file_okay=False)]
Bank = Annotated[
    list[Path] | None,
    typer.Option(
        help="Manifest of samples that calibrate the scores; may be repeated.",
        exists=True,
        dir_okay=False,
    ),
]
Videos = Annotated[
    Path | None,
    typer.Option(
        help="Folder of unlabelled videos, at least 16, that calibrate the scores without --bank.",
        exists=True,
        file_okay=False,
    ),
]
Device = Annotated[
    str, typer.Option(help="With --bank or --videos: device to run on, cpu or cuda.")
]


@cli.command("import")
def import_(
    model: Annotated[
        str,
        typer.Argument(
            help="CLIP, SigLIP, PE-Core, VideoPrism-LvT, or a sentence-transformers model of "
            "videos or images: a directory, or a Hub id (org/name or org/name@revision)."
        ),
    ],
    out: Out,
    frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Number of frames per video. Default: as the model was trained, 8 for a model of "
            "pictures.",
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(help="Prompt template with one {} for the label; may be repeated."),
    ] = None,
    bank: Bank = None,
    videos: Videos = None,
    device: Device = "cpu",
) -> None:
    """Convert an open encoder of videos or pictures to a checkpoint."""
    options = ["--frames", str(frames)] if frames else []
    for each in template or ():
        options += ["--template", each]
    if videos:
        options += ["--videos", videos.name]
    with expected_errors(on_one_line=True):
        from model.training.convert.import_model import ImportOptions, import_model
        from model.training.convert.save_imported import ScoreFit

        import_model(
            model,
            out,
            command=_command("import", [Path(model).name, *options], bank, out),
            options=ImportOptions(
                frames=frames,
                templates=tuple(template or ("{}",)),
                score_fit=ScoreFit(tuple(bank or ()), videos, device=device, log=_say),
                say=_say,
            ),
        )
    _say_how_to_serve(out)


@cli.command()
def convert(
    file: Annotated[
        Path,
        typer.Argument(
            help="checkpoint.pth.tar that the official code wrote.", exists=True, dir_okay=False
        ),
    ],
    text_model: Annotated[
        str, typer.Option(help="Text file of the word vectors that the model was trained with.")
    ],
    out: Out,
    clips: Annotated[
        int, typer.Option(min=1, max=100, help="Number of clips per video; the paper uses 25.")
    ] = 1,
    bank: Bank = None,
    device: Device = "cpu",
) -> None:
    """Convert a checkpoint of the official code of Brattoli et al."""
    options = [file.name, "--text-model", Path(text_model).name, "--clips", str(clips)]
    with expected_errors(on_one_line=True):
        from model.training.convert.official import convert as convert_official
        from model.training.convert.save_imported import ScoreFit

        convert_official(
            file,
            text_model,
            out,
            command=_command("convert", options, bank, out),
            clips=clips,
            score_fit=ScoreFit(tuple(bank or ()), carried=False, device=device, log=_say),
        )
    _say_how_to_serve(out)


@cli.command()
def refine(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="Trained checkpoint: EfficientNet-Lite2 with a word head.",
            exists=True,
            file_okay=False,
        ),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            help="Manifest of samples; may be repeated. Scores are fitted on the labelled videos "
            "whose split is `validation`.",
            exists=True,
            dir_okay=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder of the features and the new checkpoint.", file_okay=False),
    ],
    settings: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of settings instead of those of the served default.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Device to run on, cpu or cuda.")] = "cpu",
) -> None:
    """Refine a trained checkpoint for everyday footage, with knowledge and honest scores."""
    with expected_errors(on_one_line=True):
        from app.cli.progress import sample_progress
        from model.training.refine.refine import RefineRequest
        from model.training.refine.refine import refine as refine_checkpoint
        from model.training.refine.settings import DEFAULT_SETTINGS, read_settings
        from model.training.resources import TrainingResources

        manifests = [
            part for path in data for part in ("--data", f"{path.parent.name}/{path.name}")
        ]
        words = ["kinolex", "checkpoint", "refine", checkpoint.name, *manifests, "--out", out.name]
        request = RefineRequest(
            checkpoint,
            tuple(data),
            out,
            read_settings(settings or DEFAULT_SETTINGS),
            shlex.join(words),
        )
        with sample_progress() as (log, progress):
            made = refine_checkpoint(
                request, TrainingResources(device=device, log=log), progress=progress
            )
    _say_how_to_serve(made)


@cli.command()
def show(
    checkpoint: Annotated[str, typer.Argument(help="Checkpoint directory or Hub id.")],
) -> None:
    """Describe a checkpoint in a few lines."""
    with expected_errors(on_one_line=True):
        from model.training.convert.checkpoint_summary import summary_of

        found = summary_of(checkpoint)
    widest = max(map(len, found))
    for name, value in found.items():
        typer.echo(f"{name:<{widest}}  {value}")


def _command(name: str, options: Sequence[str], bank: Sequence[Path] | None, out: Path) -> str:
    """The command for the model card, without the directories of this computer."""
    banks = [part for path in bank or () for part in ("--bank", f"{path.parent.name}/{path.name}")]
    return shlex.join(["kinolex", "checkpoint", name, *options, *banks, "--out", out.name])


def _say(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _say_how_to_serve(out: Path) -> None:
    typer.echo(f"{out}/ serves: KINOLEX_CHECKPOINT={shlex.quote(str(out))} kinolex serve")
