"""Says on stderr which database a command works on, and whether a service uses it too."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from app.settings import Settings

# Where the labels were before they moved to the user's data folder.
_FORMER = Path("data")


def print_database(settings: "Settings") -> None:
    """Print the path of the database, and the address of a service that uses the same folder."""
    from app.lifecycle.serving import address_of_service

    path = settings.data_dir.absolute() / "labels.sqlite"
    shown = "the one of KINOLEX_DATABASE_URL" if settings.database_url else str(path)
    address = address_of_service(settings.data_dir)
    used = f", in use by the service at {address}" if address else ""
    typer.echo(f"database: {shown}{used}", err=True)
    print_former_data(settings)


def print_former_data(settings: "Settings") -> None:
    """Say how to use the labels of an earlier version, if there are some in this folder."""
    former = _FORMER / "labels.sqlite"
    if {"data_dir", "database_url"} & settings.model_fields_set or not former.is_file():
        return
    typer.echo(
        f"note: {former.absolute()}, of an earlier version, is not used; "
        f"KINOLEX_DATA_DIR={_FORMER} uses it, or move it to {settings.data_dir}",
        err=True,
    )
