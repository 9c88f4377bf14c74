"""`kinolex archive tag`: analyse the videos of a folder, a list or an object store."""

from typing import Annotated

import typer

from app.cli.archive.extra import archive_errors
from app.cli.exits import read_settings
from app.cli.progress import count_progress

_GIB = 1024**3


def tag(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder, glob in quotes, video, Parquet file with a column `path`, or the URI of "
            "one of these (s3://bucket/videos)."
        ),
    ],
    out: Annotated[
        str,
        typer.Option(help="Folder of the archive; every machine of a cluster must see it."),
    ],
    address: Annotated[
        str | None,
        typer.Option(help="Address of a Ray cluster: auto, or HOST:6379. Default: this computer."),
    ] = None,
    memory: Annotated[
        float, typer.Option(min=0.1, help="Memory that an actor reserves, in GiB.")
    ] = 2.0,
) -> None:
    """Analyse many videos. The same command continues an interrupted run."""
    settings = read_settings()
    with archive_errors():
        from app.archive.batch.folder import ArchiveFolder
        from app.archive.batch.sources import find_videos, open_place
        from app.archive.batch.tagging import options_of, tag_archive
        from app.cli.archive.embedder import configured_tagger, open_embedder

        videos = find_videos(source)
        options = options_of(settings, configured_tagger(settings))
        folder = ArchiveFolder.create(*open_place(out), options)
        with count_progress("files") as report:
            tagged = tag_archive(
                videos,
                folder,
                settings,
                open_embedder,
                address=address,
                memory_bytes=round(memory * _GIB),
                report=lambda done, total, failed: report(done, total),
            )
    typer.echo(
        f"{folder.path}: {tagged.done} files, {tagged.failed} of them with an error; "
        f"{tagged.known} were done before",
        err=True,
    )
