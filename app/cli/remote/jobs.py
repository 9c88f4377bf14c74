"""`kinolex jobs`: submit, list, show and cancel the jobs of a running service."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.progress import count_progress
from app.cli.remote.connection import DEFAULT_URL, RemoteService, UrlOption, remote_service

cli = typer.Typer(
    help="Submit, list, show and cancel the jobs of a running service.", no_args_is_help=True
)

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the job, as `submit` and `list` print it.")
]
_ENDED = ("succeeded", "failed", "cancelled")
_SECONDS_BETWEEN_LOOKS = 0.5


@cli.command()
def submit(
    video: Annotated[
        Path, typer.Argument(help="Video file.", exists=True, dir_okay=False, readable=True)
    ],
    url: UrlOption = DEFAULT_URL,
    labels: Annotated[
        list[str] | None,
        typer.Option(help='Labels to choose from, separated by commas: "juggling, rowing".'),
    ] = None,
    label_set: Annotated[
        str | None, typer.Option(help="Stored label set to choose from. Default: `default`.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Maximum number of tags.")] = None,
    segments: Annotated[
        bool, typer.Option("--segments", help="Also report the times at which each tag applies.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the analysis, so that the video can be searched.")
    ] = False,
    metadata: Annotated[
        str | None, typer.Option(help='With --keep: texts to store, {"camera": "north"}.')
    ] = None,
    callback_url: Annotated[
        str | None, typer.Option(help="Address that gets a signed webhook at the end of the job.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key and request give the same job.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end of the job and print it as JSON.")
    ] = False,
) -> None:
    """Send a video, and print the id of the job that tags it."""
    options = {
        "label_set": label_set,
        "top_k": None if top_k is None else str(top_k),
        "granularity": "segments" if segments else None,
        "keep": "true" if keep else None,
        "metadata": metadata,
        "callback_url": callback_url,
    }
    query = [(name, value) for name, value in options.items() if value is not None]
    query += [("labels", value) for value in labels or ()]
    with remote_service(url) as service, video.open("rb") as file:
        job = service.submit(file, query, idempotency_key)
        if wait:
            job = _end_of(job, service)
    if not wait:
        typer.echo(job["id"])
        return
    _print_job(job)
    if job["status"] != "succeeded":
        raise typer.Exit(1)


@cli.command("list")
def list_jobs(
    url: UrlOption = DEFAULT_URL,
    status: Annotated[
        str | None,
        typer.Option(help="Only jobs that are queued, running, succeeded, failed or cancelled."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of jobs.")] = 50,
) -> None:
    """List jobs, newest first."""
    query = [("page_size", str(min(limit, 100))), *([("status", status)] if status else [])]
    with remote_service(url) as service:
        jobs = list(service.pages("/jobs", query, limit))
    _print_table(jobs)


@cli.command()
def show(job_id: IdArgument, url: UrlOption = DEFAULT_URL) -> None:
    """Print a job, with its result or the reason why it failed, as JSON."""
    with remote_service(url) as service:
        job = service.get(_path(job_id))
    _print_job(job)


@cli.command()
def cancel(job_id: IdArgument, url: UrlOption = DEFAULT_URL) -> None:
    """Cancel a job. One that has ended stays as it is."""
    with remote_service(url) as service:
        job = service.delete(_path(job_id))
    typer.echo(f"{job['id']} {job['status']}", err=True)


def _path(job_id: str) -> str:
    from urllib.parse import quote

    return f"/jobs/{quote(job_id, safe='')}"


def _end_of(job: Mapping[str, Any], service: RemoteService) -> dict[str, Any]:
    from time import sleep

    with count_progress("percent done") as report:
        while True:
            found = service.get(_path(job["id"]))
            report(round(100 * found["progress"]), 100)
            if found["status"] in _ENDED:
                return found
            sleep(_SECONDS_BETWEEN_LOOKS)


def _print_job(job: Mapping[str, Any]) -> None:
    import json

    typer.echo(json.dumps(job, indent=2, ensure_ascii=False))


def _print_table(jobs: Iterable[Mapping[str, Any]]) -> None:
    from app.cli.tables import open_table, stdout_console

    table = open_table("id", "status", "progress", "created", "problem", whole="id")
    for job in jobs:
        table.add_row(
            job["id"],
            job["status"],
            f"{job['progress']:.0%}",
            job["created_at"],
            (job["problem"] or {}).get("code", ""),
        )
    stdout_console().print(table)
