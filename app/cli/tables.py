"""Tables that commands print on stdout: no cell is cut, and on a pipe no row is broken."""

from rich.console import Console
from rich.table import Column, Table

# For a pipe, which has no width: rich would take 80 columns.
_UNLIMITED = 100_000


def stdout_console() -> Console:
    """Return what prints on stdout: as wide as the terminal, without a limit on a pipe."""
    console = Console()
    return console if console.is_terminal else Console(width=_UNLIMITED)


def open_table(*columns: str, whole: str = "") -> Table:
    """Return a table without rows; on a narrow terminal, cells continue below.

    The column `whole`, of ids that people copy, gives way to no other.
    """
    made = (Column(name, overflow="fold", no_wrap=name == whole) for name in columns)
    return Table(*made, box=None, header_style="bold")
