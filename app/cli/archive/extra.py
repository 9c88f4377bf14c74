"""Errors of `kinolex archive` as one line, also where the extra is not installed."""

from collections.abc import Generator
from contextlib import contextmanager

import typer


@contextmanager
def archive_errors() -> Generator[None]:
    """Print expected errors of the block; exit with code 1, or 2 if the extra is missing."""
    from model import KinolexError

    try:
        yield
    except KinolexError as error:
        typer.echo(f"{error} ({error.code})", err=True)
        raise typer.Exit(1) from error
    except ModuleNotFoundError as error:
        typer.echo(f"{error}; install it with `pip install --editable '.[archive]'`", err=True)
        raise typer.Exit(2) from error
