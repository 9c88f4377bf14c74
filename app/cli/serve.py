"""`kinolex serve`: start the HTTP service."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.exits import expected_errors


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; overrides KINOLEX_HOST.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port to listen on; overrides KINOLEX_PORT."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Number of server processes; overrides KINOLEX_WORKERS."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Checkpoint or model: a folder, or a Hub id (org/name or org/name@revision); "
            "overrides KINOLEX_CHECKPOINT."
        ),
    ] = None,
) -> None:
    """Start the HTTP service. KINOLEX_ environment variables configure everything else."""
    import shutil

    from app.cli.exits import read_settings
    from app.cli.storage import print_database
    from app.http.server.process import Stop
    from app.http.server.serve import serve_app
    from app.lifecycle.serving import hold_folder
    from app.settings import share_metrics, use_checkpoint

    if model:
        use_checkpoint(model)
    settings = read_settings()
    if settings.checkpoint:
        # the server's processes read it from the environment
        use_checkpoint(_fetched(settings.checkpoint, settings.cache_dir))
        settings = read_settings()
    workers = workers or settings.workers
    if workers > 1:
        # the counts of an earlier run would be added to those of this run
        shutil.rmtree(settings.metrics_dir, ignore_errors=True)
        settings.metrics_dir.mkdir(parents=True)
        share_metrics(settings.metrics_dir)
    host, port = host or settings.host, port or settings.port
    address = _address(host, port)
    typer.echo(f"Kinolex is starting. The page: {address}/", err=True)
    typer.echo(f"Try: curl -F file=@video.mp4 {address}/classify", err=True)
    print_database(settings)
    with hold_folder(settings.data_dir, address):
        exit_code = serve_app(
            "app.main:create_app",
            host=host,
            port=port,
            workers=workers,
            log_level=settings.log_level,
            stop=Stop(settings.stop_grace_seconds, settings.stop_delay_seconds),
        )
    raise typer.Exit(exit_code)


def _fetched(checkpoint: str, cache: Path) -> str:
    """Fetch a checkpoint or import a model before the server starts; return what to load."""
    with expected_errors(on_one_line=True):
        from model.training.convert.served import checkpoint_to_serve

        return checkpoint_to_serve(
            checkpoint, cache / "imported", lambda sentence: typer.echo(sentence, err=True)
        )


def _address(host: str, port: int) -> str:
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
