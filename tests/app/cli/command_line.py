"""Run `kinolex` in this process, and walk the tree of its commands."""

import re
from collections.abc import Iterator

from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typer.testing import CliRunner, Result

from app.cli.program import cli


def kinolex(*arguments: object, typed: str | bytes | None = None) -> Result:
    """Run a command with `typed` on stdin."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=typed)


def command_tree() -> dict[tuple[str, ...], TyperCommand | TyperGroup]:
    """Every command by the words that call it: () is `kinolex` itself."""
    return dict(_walk((), get_command(cli)))


def _walk(
    words: tuple[str, ...], command: object
) -> Iterator[tuple[tuple[str, ...], TyperCommand | TyperGroup]]:
    assert isinstance(command, TyperCommand | TyperGroup)
    yield words, command
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from _walk((*words, name), child)


def plain(text: str) -> str:
    """Terminal output without escape sequences and line breaks."""
    return " ".join(re.sub(r"\x1b\[[0-9;?]*\w", " ", text).split())
