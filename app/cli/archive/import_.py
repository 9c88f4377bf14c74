"""`kinolex archive import`: put the analyses of an archive into a service's database."""

from typing import Annotated

import typer

from app.cli.archive.extra import archive_errors
from app.cli.exits import read_settings
from app.cli.progress import count_progress


def import_(
    archive: Annotated[str, typer.Argument(help="Folder of the archive, or its URI.")],
) -> None:
    """Put the analyses into the configured database. A running service searches them at once."""
    from datetime import timedelta

    settings = read_settings()
    with archive_errors():
        from app.archive.batch.folder import ArchiveFolder
        from app.archive.batch.importing import import_archive
        from app.archive.batch.sources import open_place
        from app.cli.labels.stored import label_store
        from app.store.analyses import AnalysisStore

        folder = ArchiveFolder.find(*open_place(archive))
        with label_store(settings) as labels, count_progress("parts") as report:
            store = AnalysisStore(labels.engine)
            imported = import_archive(folder, store, report)
            is_over = store.is_over(timedelta(days=settings.keep_days), settings.keep_bytes)
    typer.echo(
        f"{imported.stored} analyses imported, {imported.known} were there; "
        f"{imported.failed} videos of the archive have an error instead",
        err=True,
    )
    if is_over:
        typer.echo("A service will delete the oldest: see KINOLEX_KEEP_BYTES and KINOLEX_KEEP_DAYS")
