"""`kinolex archive search`: find words in an archive without a service."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.archive.extra import archive_errors
from app.cli.exits import read_settings
from app.cli.progress import count_progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.archive.batch.search import FoundInArchive


def search(
    archive: Annotated[str, typer.Argument(help="Folder of the archive, or its URI.")],
    words: Annotated[
        list[str], typer.Argument(help='What to find: "riding a horse" "juggling"; in one pass.')
    ],
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of spans of each.")] = 10,
    min_score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Minimum score of a span.")
    ] = 0.0,
    json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON for each of the words.")
    ] = False,
) -> None:
    """Find words in an archive, without a service."""
    settings = read_settings()
    with archive_errors():
        from app.archive.batch.folder import ArchiveFolder
        from app.archive.batch.search import search_archive
        from app.archive.batch.sources import open_place
        from app.cli.archive.embedder import configured_tagger

        tagger = configured_tagger(settings)
        folder = ArchiveFolder.find(*open_place(archive), tagger.video_space)
        with count_progress("parts") as report:
            found = search_archive(
                folder, words, tagger, limit=limit, min_score=min_score, report=report
            )
        names = {name for each in found for name in each.sha256s}
        paths = folder.paths_of(names)
    for each in found:
        record = _record(each, paths)
        if json:
            from json import dumps

            typer.echo(dumps(record, ensure_ascii=False))
        else:
            _print(record)


def _record(found: "FoundInArchive", paths: "Mapping[str, str]") -> dict[str, Any]:
    items = [
        {
            "path": paths.get(sha256, ""),
            "sha256": sha256,
            "start": span.start_seconds,
            "end": span.end_seconds,
            "score": span.score,
            "similarity": span.similarity,
        }
        for sha256, span in zip(found.sha256s, found.page.spans, strict=True)
    ]
    unknown = found.page.unknown
    return {
        "q": found.text,
        "items": items,
        "unknown": {"score": unknown.score, "is_unknown": unknown.is_unknown},
        "videos": found.videos,
    }


def _print(record: "Mapping[str, Any]") -> None:
    from rich.text import Text

    from app.cli.tables import open_table, stdout_console

    table = open_table("score", "when", "path")
    for item in record["items"]:
        when = f"{item['start']:.1f}-{item['end']:.1f} s"
        table.add_row(f"{item['score']:.2f}", when, Text(item["path"] or item["sha256"]))
    console = stdout_console()
    console.print(record["q"], style="bold", markup=False)
    console.print(table)
    if record["unknown"]["is_unknown"]:
        console.print("Probably none of them shows this.", style="yellow")
    typer.echo(f"{record['videos']} videos searched", err=True)
