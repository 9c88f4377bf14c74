"""The command line. What a command needs is imported when it runs, so that `--help` is quick."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.settings import Settings

cli = typer.Typer(
    name="kinolex",
    help="Kinolex names what happens in a video, in words you choose.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

# Everything after the name of such a command, `--help` too, is left to the program behind it.
_PASSED_ON = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "help_option_names": [],
}


@cli.command()
def classify(
    videos: Annotated[
        list[Path], typer.Argument(help="Video files.", exists=True, dir_okay=False, readable=True)
    ],
    labels: Annotated[
        list[str] | None,
        typer.Option(help='Labels to ask, separated by commas: "juggling, riding a horse".'),
    ] = None,
    label_set: Annotated[
        str | None, typer.Option(help="Stored label set to ask instead; `default` if neither.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Most tags per video.")] = None,
    min_score: Annotated[float, typer.Option(min=0.0, max=1.0, help="Least score of a tag.")] = 0.0,
    segments: Annotated[bool, typer.Option("--segments", help="Say when, too.")] = False,
    window_seconds: Annotated[
        float | None, typer.Option(help="With --segments: length of a window.")
    ] = None,
    stride_seconds: Annotated[
        float | None, typer.Option(help="With --segments: step between windows.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the API's answer, one line of JSON per video.")
    ] = False,
) -> None:
    """Tag videos, without a server."""
    from app.cli.tag_files import tag_files

    options = {
        "label_set": label_set,
        "top_k": top_k,
        "min_score": min_score,
        "granularity": "segments" if segments else "video",
        "window_seconds": window_seconds,
        "stride_seconds": stride_seconds,
    }
    pairs = [(name, str(value)) for name, value in options.items() if value is not None]
    pairs += [("labels", value) for value in labels or ()]
    raise typer.Exit(tag_files(videos, pairs, read_settings(), as_json=json))


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Server processes.")] = None,
) -> None:
    """Start the service; everything else is configured by KINOLEX_ variables."""
    import shutil

    import uvicorn

    from app.settings import share_metrics

    settings = read_settings()
    workers = workers or settings.workers
    if workers > 1:
        # numbers of an earlier run would be added to those of this one
        shutil.rmtree(settings.metrics_dir, ignore_errors=True)
        settings.metrics_dir.mkdir(parents=True)
        share_metrics(settings.metrics_dir)
    host, port = host or settings.host, port or settings.port
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    address = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
    typer.echo(f"Kinolex is starting. The page: {address}/", err=True)
    typer.echo(f"Try: curl -F file=@video.mp4 {address}/classify", err=True)
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level=settings.log_level,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=30,
    )


@cli.command(context_settings=_PASSED_ON)
def labels(context: typer.Context) -> None:
    """Read and change the stored labels."""
    from app.cli.labels import cli as labels_cli

    labels_cli(args=context.args, prog_name=context.command_path)


@cli.command(context_settings=_PASSED_ON)
def train(context: typer.Context) -> None:
    """Train a checkpoint; `train compare` sets end to end against frozen networks."""
    if context.args[:1] == ["compare"]:
        _training("compare", context, context.args[1:], parent="train ")
    else:
        _training("train", context, context.args)


@cli.command(context_settings=_PASSED_ON)
def data(context: typer.Context) -> None:
    """Make, check and pack manifests of training data; look for overlapping classes."""
    from app.cli.data import cli as data_cli

    data_cli(args=context.args, prog_name=context.command_path)


@cli.command(context_settings=_PASSED_ON)
def checkpoint(context: typer.Context) -> None:
    """Import and convert models made elsewhere; show what a checkpoint is."""
    from app.cli.checkpoint import cli as checkpoint_cli

    checkpoint_cli(args=context.args, prog_name=context.command_path)


@cli.command(context_settings=_PASSED_ON)
def evaluate(context: typer.Context) -> None:
    """Measure a checkpoint on videos with known labels."""
    _training("evaluate", context, context.args)


def _training(command: str, context: typer.Context, args: list[str], *, parent: str = "") -> None:
    from app.cli.train import cli as training_cli

    program = context.find_root().info_name or "kinolex"
    training_cli(args=[command, *args], prog_name=f"{program} {parent}".strip())


def read_settings() -> "Settings":
    """The settings, or an end with a sentence for each that is not valid."""
    from pydantic import ValidationError

    from app.settings import PREFIX, Settings

    try:
        return Settings()
    except ValidationError as error:
        for found in error.errors():
            name = PREFIX + "_".join(str(step) for step in found["loc"]).upper()
            typer.echo(f"{name}: {found['msg']}", err=True)
        raise typer.Exit(2) from error


def main() -> None:
    """The program `kinolex`."""
    cli(prog_name="kinolex")
