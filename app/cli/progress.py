"""Progress bars of commands, shown on a terminal only and removed at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# called with the number of finished items and the number of all items
Report = Callable[[int, int], None]


@contextmanager
def sample_progress() -> Iterator[tuple[Callable[[str], None], Report]]:
    """Show a bar on stdout; yields a function to print a line above it, and one to update it."""
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task("samples", total=None)
        yield (
            lambda line: bar.console.print(line, markup=False, highlight=False, soft_wrap=True),
            lambda done, total: bar.update(task, completed=done, total=total),
        )


@contextmanager
def count_progress(work: str) -> Iterator[Report]:
    """Show `work`, a bar, counts and the time left on stderr; yields a function to update it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn(work),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(work, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
