"""`kinolex search`: find words in the kept videos of a running service."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.remote.connection import DEFAULT_URL, UrlOption, remote_service

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def search(
    words: Annotated[str, typer.Argument(help='What to find: "riding a horse".')],
    url: UrlOption = DEFAULT_URL,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Maximum number of spans.")] = 10,
    min_score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Minimum score of a span.")
    ] = 0.0,
    label_set: Annotated[
        str | None, typer.Option(help="Only videos that were kept with this label set.")
    ] = None,
    metadata: Annotated[
        str | None,
        typer.Option(help='Only videos whose metadata have these values: {"camera": "north"}.'),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the API's response, one line of JSON.")
    ] = False,
) -> None:
    """Find words in the kept videos of a running service."""
    options = {
        "q": words,
        "page_size": str(limit),
        "min_score": str(min_score),
        "label_set": label_set,
        "metadata": metadata,
    }
    query = [(name, value) for name, value in options.items() if value is not None]
    with remote_service(url) as service:
        found = service.get("/search", query)
    if json:
        from json import dumps

        typer.echo(dumps(found, ensure_ascii=False))
        return
    _print_spans(found["items"])
    typer.echo(f"{found['videos']} videos searched", err=True)
    if found["unknown"]["is_unknown"]:
        typer.echo("Probably none of them shows this.", err=True)


def _print_spans(spans: "Sequence[Mapping[str, Any]]") -> None:
    from rich.text import Text

    from app.cli.tables import open_table, stdout_console

    table = open_table("score", "when", "video", "metadata")
    for span in spans:
        video = span["video"]
        table.add_row(
            f"{span['score']:.2f}",
            f"{span['start']:.1f}-{span['end']:.1f} s",
            video["sha256"],
            Text(", ".join(f"{name}={value}" for name, value in video["metadata"].items())),
        )
    stdout_console().print(table)
