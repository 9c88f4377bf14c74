"""Output of `kinolex labels`: tables and JSON on stdout, summaries and warnings on stderr.

What only some commands need is imported by their functions: `kinolex labels sets` takes half a
second less without it.
"""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from app.cli.tables import open_table, stdout_console
from app.store import (
    LabelStore,
    NewLabel,
    PrototypeSource,
    SetState,
    StoredExample,
    StoredLabel,
    Taught,
    Written,
)
from model import example_weight

if TYPE_CHECKING:
    from app.labels.advice import Warned


def print_labels(labels: Iterable[NewLabel], state: SetState) -> None:
    """Print a table of labels, and how many of the set's labels it holds."""
    table = open_table("label", "prompts", "aliases", "threshold")
    for new in labels:
        label = new.label
        table.add_row(
            Text(label.name if new.enabled else f"{label.name} (not enabled)"),
            Text("; ".join(label.prompts)),
            Text("; ".join(label.aliases)),
            "" if label.threshold is None else f"{label.threshold:g}",
        )
    stdout_console().print(table)
    typer.echo(
        f"{table.row_count} of {state.size} in {state.name!r}, revision {state.revision}", err=True
    )


def print_sets(states: Iterable[SetState]) -> None:
    """Print a table of label sets."""
    table = open_table("set", "labels", "revision")
    for state in states:
        table.add_row(state.name, str(state.size), str(state.revision))
    stdout_console().print(table)


def print_label(stored: StoredLabel, examples: Sequence[StoredExample]) -> None:
    """Print a label with its examples as JSON."""
    from app.labels.fields import fields_of

    record = {
        **fields_of(stored.new),
        "created_at": stored.created_at.isoformat(),
        "updated_at": stored.updated_at.isoformat(),
        "examples": [
            {
                "sha256": each.sha256,
                "created_at": each.created_at.isoformat(),
                "model_revision": each.video_space,
            }
            for each in examples
        ],
    }
    typer.echo(json.dumps(record, indent=2, ensure_ascii=False))


def print_written(written: Written, warnings: "Sequence[Warned]" = ()) -> None:
    """Print what a write changed, and the warnings about its labels."""
    state = written.state
    typer.echo(
        f"{written.created} created, {written.updated} updated, {written.removed} removed; "
        f"{state.name!r} holds {state.size} at revision {state.revision}",
        err=True,
    )
    for warned in warnings:
        typer.echo(f"warning: {warned.detail} ({warned.code})", err=True)


def print_taught(taught: Taught) -> None:
    """Print how many examples were added, and their weight against the label's texts."""
    typer.echo(
        f"{taught.added} added; {taught.examples} examples now weigh "
        f"{example_weight(taught.examples):.2f}, the words the rest; "
        f"{taught.state.name!r} is at revision {taught.state.revision}",
        err=True,
    )


def print_forgotten(taught: Taught) -> None:
    """Print how many examples were removed."""
    typer.echo(
        f"{taught.removed} removed; {taught.state.name!r} is at revision {taught.state.revision}",
        err=True,
    )


def warnings_about(
    store: LabelStore,
    labels: Sequence[NewLabel],
    written: Written,
    source: PrototypeSource,
    many_labels: int,
) -> "list[Warned]":
    """Return warnings about labels just written, and about a set of more than `many_labels`."""
    from app.labels.advice import advise, advise_on_size, not_advised

    state = written.state
    large = advise_on_size(state, many_labels)
    if large and written.embedded:
        # a running service has the index in memory; this process would have to read it first
        return [not_advised("the set is large"), *large]
    return [*advise(store, state.name, labels, written, source.text), *large]
