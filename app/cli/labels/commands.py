"""`kinolex labels`: read and change the label database. A running service sees each change."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.exits import read_settings
from app.cli.progress import count_progress
from app.labels.formats import MEDIA_TYPES, FileFormat

cli = typer.Typer(help="Read and change the stored labels.", no_args_is_help=True)


def _default_set() -> str:
    from app.store import DEFAULT_SET

    return DEFAULT_SET


SetOption = Annotated[
    str,
    typer.Option(
        "--set",
        help="Name of the label set; `default` unless given.",
        default_factory=_default_set,
        show_default=False,
    ),
]
FormatOption = Annotated[
    FileFormat | None,
    typer.Option("--format", help="File format; by default, that of the file's extension."),
]
NameArgument = Annotated[str, typer.Argument(help="Name of the label; case does not matter.")]


@cli.command("list")
def list_labels(
    label_set: SetOption,
    search: Annotated[str, typer.Option(help="Only list labels that contain this text.")] = "",
) -> None:
    """List labels by name."""
    from app.cli.labels.output import print_labels
    from app.cli.labels.stored import label_store, matching_labels

    with label_store(read_settings()) as store:
        labels = list(matching_labels(store, label_set, search))
        state = store.state(label_set)
    print_labels(labels, state)


@cli.command()
def show(name: NameArgument, label_set: SetOption) -> None:
    """Print a label and its examples as JSON."""
    from app.cli.labels.output import print_label
    from app.cli.labels.stored import label_store

    with label_store(read_settings()) as store:
        _, stored = store.get(label_set, name)
        _, examples = store.examples(label_set, name)
    print_label(stored, examples)


@cli.command()
def put(
    names: Annotated[list[str], typer.Argument(help="Labels to add or replace.")],
    label_set: SetOption,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help="Another description of the action; may be repeated."),
    ] = None,
    alias: Annotated[
        list[str] | None,
        typer.Option(help="Another name, reported as this label; may be repeated."),
    ] = None,
    description: Annotated[
        str | None, typer.Option(help="Sentence that says what the label means.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Minimum score at which the label is reported.")
    ] = None,
) -> None:
    """Add or replace labels. The options apply to each of them."""
    from app.cli.labels.output import print_written, warnings_about
    from app.cli.labels.stored import LazyTagger, label_store
    from app.labels.fields import LabelFields, new_labels

    settings = read_settings()
    tagger = LazyTagger(settings)
    with label_store(settings, tagger) as store:
        labels = new_labels(
            [
                LabelFields(
                    name=name,
                    prompts=prompt or [],
                    aliases=alias or [],
                    description=description,
                    threshold=threshold,
                )
                for name in names
            ]
        )
        written = store.upsert(label_set, labels)
        warnings = warnings_about(store, labels, written, tagger, settings.many_labels)
    print_written(written, warnings)


@cli.command()
def remove(
    names: Annotated[list[str], typer.Argument(help="Names of labels; case does not matter.")],
    label_set: SetOption,
) -> None:
    """Remove labels one after the other, up to the first that does not exist."""
    from app.cli.labels.output import print_written
    from app.cli.labels.stored import label_store

    with label_store(read_settings()) as store:
        for name in names:
            print_written(store.remove(label_set, name))


@cli.command()
def teach(
    name: NameArgument,
    videos: Annotated[
        list[Path],
        typer.Argument(help="Short videos that show the label.", exists=True, dir_okay=False),
    ],
    label_set: SetOption,
) -> None:
    """Teach a label by example: move its vector towards videos that show it.

    Only the embeddings of the videos are stored. `show` lists them, `forget` removes them.
    """
    from app.cli.labels.output import print_taught
    from app.cli.labels.stored import LazyTagger, embed_example, label_store

    settings = read_settings()
    tagger = LazyTagger(settings)
    with label_store(settings, tagger) as store:
        # reports a missing label before the model is loaded
        store.examples(label_set, name)
        with count_progress("embedding videos") as report:
            examples = []
            for done, video in enumerate(videos, start=1):
                examples.append(embed_example(tagger.load(), video))
                report(done, len(videos))
        taught = store.teach(label_set, name, examples)
    print_taught(taught)


@cli.command()
def forget(
    name: NameArgument,
    label_set: SetOption,
    sha256: Annotated[
        str | None,
        typer.Argument(help="Digest of the example, as `show` prints it; all unless given."),
    ] = None,
) -> None:
    """Remove examples of a label."""
    from app.cli.labels.output import print_forgotten
    from app.cli.labels.stored import label_store

    with label_store(read_settings()) as store:
        taught = store.forget(label_set, name, sha256)
    print_forgotten(taught)


@cli.command("import")
def import_labels(
    file: Annotated[
        typer.FileText, typer.Argument(encoding="utf-8-sig", help="File to read; - for stdin.")
    ],
    label_set: SetOption,
    file_format: FormatOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove labels that are not in the file.")
    ] = False,
) -> None:
    """Add or replace the labels of a file: all of them, or none."""
    from app.cli.labels.output import print_written, warnings_about
    from app.cli.labels.stored import LazyTagger, label_store
    from app.labels.fields import new_labels
    from app.labels.files import read_labels

    settings = read_settings()
    tagger = LazyTagger(settings)
    with label_store(settings, tagger) as store:
        labels = new_labels(read_labels(file, file_format or _format_of(file.name)))
        write = store.replace if replace else store.upsert
        with count_progress("embedding") as report:
            written = write(label_set, labels, report=report)
        warnings = warnings_about(store, labels, written, tagger, settings.many_labels)
    print_written(written, warnings)


@cli.command("export")
def export_labels(
    file: Annotated[typer.FileTextWrite, typer.Argument(help="File to write; - for stdout.")],
    label_set: SetOption,
    file_format: FormatOption = None,
) -> None:
    """Write all labels of a set to a file that `import` can read."""
    from app.cli.labels.stored import label_store
    from app.labels.files import write_labels

    with label_store(read_settings()) as store:
        chosen = file_format or _format_of(file.name)
        pieces = write_labels((stored.new for stored in store.export(label_set)), chosen)
        # read before the file is opened: an error leaves the file as it was
        first = next(pieces, "")
        file.write(first)
        file.writelines(pieces)


@cli.command()
def sets() -> None:
    """List the label sets."""
    from app.cli.labels.output import print_sets
    from app.cli.labels.stored import all_sets, label_store

    with label_store(read_settings()) as store:
        states = list(all_sets(store))
    print_sets(states)


@cli.command()
def copy(
    source: Annotated[str, typer.Argument(help="Label set to copy.")],
    target: Annotated[str, typer.Argument(help="Label set to create.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite an existing label set.")
    ] = False,
) -> None:
    """Copy a label set."""
    from app.cli.labels.output import print_written
    from app.cli.labels.stored import label_store
    from app.store import Condition

    with label_store(read_settings()) as store:
        written = store.copy_set(source, target, condition=Condition(must_be_new=not replace))
    print_written(written)


def _format_of(name: str) -> FileFormat:
    for file_format in MEDIA_TYPES:
        if name.lower().endswith(f".{file_format}"):
            return file_format
    return "ndjson"
