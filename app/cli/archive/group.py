"""The commands of `kinolex archive`."""

import typer

from app.cli.archive.import_ import import_
from app.cli.archive.search import search
from app.cli.archive.tag import tag

cli = typer.Typer(
    help="Tag archives of videos on one machine or many, and ask them later.", no_args_is_help=True
)
cli.command()(tag)
cli.command("import")(import_)
cli.command()(search)
