"""`kinolex doctor`: what runs here, what is missing, and what adds it."""

from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.exits import read_settings

if TYPE_CHECKING:
    from app.cli.doctor.findings import Finding


def doctor(
    json: Annotated[
        bool, typer.Option("--json", help="Print the findings as a JSON array.")
    ] = False,
) -> None:
    """Say whether the service can run here, what is missing, and what adds it.

    Nothing is changed, and no running service is asked. The exit status is 1 if there is a problem.
    """
    from dataclasses import asdict
    from json import dumps

    from app.cli.doctor.findings import table, verdict

    findings = _findings()
    if json:
        typer.echo(dumps([asdict(found) for found in findings], indent=2))
    else:
        typer.echo(table(findings))
    typer.echo(verdict(findings), err=True)
    if any(found.state == "problem" for found in findings):
        raise typer.Exit(1)


def _findings() -> "list[Finding]":
    from app.cli.doctor import machine, service

    settings = read_settings()
    return [
        machine.python(),
        machine.processors(settings.decode_workers),
        machine.memory(),
        *service.variables(),
        service.folder("data folder", settings.data_dir, "KINOLEX_DATA_DIR"),
        service.folder("upload folder", settings.upload_dir, "KINOLEX_UPLOAD_DIR"),
        service.database(settings),
        machine.ffmpeg(),
        *service.sandbox(),
        *service.checkpoint(settings),
        *machine.extras(),
    ]
