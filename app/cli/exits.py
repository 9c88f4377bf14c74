"""Turns expected errors of commands into a message on stderr and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from app.settings import Settings


def read_settings() -> "Settings":
    """Read the settings; exit with code 2 and one line for each invalid one."""
    from pydantic import ValidationError

    from app.settings import PREFIX, Settings

    try:
        return Settings()
    except ValidationError as error:
        for found in error.errors():
            reason = found["msg"].removeprefix("Value error, ")
            name = PREFIX + "_".join(str(step) for step in found["loc"]).upper()
            # a rule about two settings has no place, and names both
            typer.echo(f"{name}: {reason}" if found["loc"] else reason, err=True)
        raise typer.Exit(2) from error


@contextmanager
def expected_errors(*, on_one_line: bool = False) -> Iterator[None]:
    """Turn the errors of `model.training` into messages and exit codes.

    Invalid input and missing packages exit with code 2, a comparison that was stopped with code 1.
    Other errors pass unchanged. `on_one_line` replaces line breaks in a message by spaces.
    """
    from model import KinolexError

    try:
        yield
    except (ValueError, OSError, KinolexError) as error:
        message = " ".join(str(error).split()) if on_one_line else str(error)
        typer.echo(message, err=True)
        raise typer.Exit(2) from error
    except RuntimeError as error:
        from model.training.compare.trained_networks import Stopped

        if not isinstance(error, Stopped):
            raise
        typer.echo(f"{error}; run the same command again to continue", err=True)
        raise typer.Exit(1) from error
    except ModuleNotFoundError as error:
        extra = "tensorboard" if "tensorboard" in str(error) else "train"
        typer.echo(f"{error}; install it with `pip install --editable '.[{extra}]'`", err=True)
        raise typer.Exit(2) from error
