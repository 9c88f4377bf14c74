"""`kinolex labels`: works on the database itself; a running service sees each change."""

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from app.cli.program import read_settings
from app.errors import InvalidParameter
from app.labels.advice import Warned, advise, advise_on_size, not_advised
from app.labels.fields import LabelFields, fields_of, new_labels
from app.labels.files import MEDIA_TYPES, FileFormat, read_labels, write_labels
from app.settings import Settings
from app.store import DEFAULT_SET, Condition, Example, LabelStore, NewLabel, Report, Written
from model import (
    KinolexError,
    Label,
    Prototypes,
    TextEncoder,
    VideoError,
    example_weight,
)

if TYPE_CHECKING:
    from model import Tagger

cli = typer.Typer(
    name="labels",
    help="Read and change the stored labels.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

_PAGE = 1_000

SetOption = Annotated[str, typer.Option("--set", help="Label set.")]
FormatOption = Annotated[
    FileFormat | None, typer.Option("--format", help="Unless given, by the file's ending.")
]


class _LazyTagger:
    """Loads the checkpoint when labels must be embedded."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _tagger(self) -> "Tagger":
        # seconds of import that reading and removing do not pay
        from model import load_checkpoint

        checkpoint, text_model = self._settings.checkpoint, self._settings.text_model
        if checkpoint:
            return load_checkpoint(checkpoint, text_model=text_model)
        return load_checkpoint(text_model=text_model)

    @property
    def text_space(self) -> str:
        """The checkpoint's."""
        return self._tagger.text_space

    @property
    def text(self) -> TextEncoder:
        """The checkpoint's."""
        return self._tagger.text

    @property
    def typical_videos(self) -> npt.NDArray[np.float32]:
        """The checkpoint's."""
        return self._tagger.typical_videos

    @property
    def video_space(self) -> str:
        """The checkpoint's."""
        return self._tagger.video_space

    def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
        """The checkpoint's vectors for these labels."""
        return self._tagger.prototypes(labels)

    def teach(self, prototypes: Prototypes, examples: npt.NDArray[np.float32]) -> Prototypes:
        """The checkpoint's vectors for a label with examples."""
        return self._tagger.teach(prototypes, examples)

    def example(self, video: Path) -> Example:
        """The checkpoint's embedding of a video. Raises a VideoError that names the file."""
        with video.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            try:
                _, embedding = self._tagger.embed(file)
            except VideoError as error:
                raise type(error)(f"{video}: {error}") from error
        return Example(digest, embedding)


@cli.command("list")
def list_labels(
    label_set: SetOption = DEFAULT_SET,
    search: Annotated[str, typer.Option(help="Only labels that hold this text.")] = "",
) -> None:
    """List labels by name."""
    table = Table("label", "prompts", "aliases", "threshold", box=None, header_style="bold")
    with _store() as store:
        for new in _matching(store, label_set, search):
            label = new.label
            table.add_row(
                Text(label.name if new.enabled else f"{label.name} (not enabled)"),
                Text("; ".join(label.prompts)),
                Text("; ".join(label.aliases)),
                "" if label.threshold is None else f"{label.threshold:g}",
            )
        state = store.state(label_set)
    Console().print(table)
    typer.echo(
        f"{table.row_count} of {state.size} in {state.name!r}, revision {state.revision}", err=True
    )


@cli.command()
def show(
    name: Annotated[str, typer.Argument(help="Label, in any spelling.")],
    label_set: SetOption = DEFAULT_SET,
) -> None:
    """Print all that is stored of a label as JSON, and what it was taught by."""
    with _store() as store:
        _, stored = store.get(label_set, name)
        _, examples = store.examples(label_set, name)
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


@cli.command()
def put(
    names: Annotated[list[str], typer.Argument(help="Labels to add or to replace.")],
    prompt: Annotated[list[str] | None, typer.Option(help="A further description.")] = None,
    alias: Annotated[list[str] | None, typer.Option(help="Another name, answered as this.")] = None,
    description: Annotated[str | None, typer.Option(help="What is meant.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Least score to be answered.")] = None,
    label_set: SetOption = DEFAULT_SET,
) -> None:
    """Add or replace labels; the options belong to each of them."""
    source = _LazyTagger(read_settings())
    with _store(source) as store:
        try:
            fields = [
                LabelFields(
                    name=name,
                    prompts=prompt or [],
                    aliases=alias or [],
                    description=description,
                    threshold=threshold,
                )
                for name in names
            ]
        except ValidationError as error:
            raise _Refused.of(error) from error
        labels = new_labels(fields)
        written = store.upsert(label_set, labels)
        _tell(written, _advice(store, labels, written, source))


@cli.command()
def remove(
    names: Annotated[list[str], typer.Argument(help="Labels, in any spelling.")],
    label_set: SetOption = DEFAULT_SET,
) -> None:
    """Remove labels, one after the other."""
    with _store() as store:
        for name in names:
            _tell(store.remove(label_set, name))


@cli.command()
def teach(
    name: Annotated[str, typer.Argument(help="Label, in any spelling.")],
    videos: Annotated[
        list[Path],
        typer.Argument(help="Short videos that show it.", exists=True, dir_okay=False),
    ],
    label_set: SetOption = DEFAULT_SET,
) -> None:
    """Teach a label by example: blend videos that show it into what it is searched by.

    Only the videos' embeddings are kept; `show` lists them, `forget` removes them.
    """
    source = _LazyTagger(read_settings())
    with _store(source) as store:
        # a label that is not there is told before the model is loaded
        store.examples(label_set, name)
        with _progress("looking at videos") as report:
            examples = []
            for done, video in enumerate(videos, start=1):
                examples.append(source.example(video))
                report(done, len(videos))
        taught = store.teach(label_set, name, examples)
    typer.echo(
        f"{taught.added} added; {taught.examples} examples now weigh "
        f"{example_weight(taught.examples):.2f}, the words the rest; "
        f"{taught.state.name!r} is at revision {taught.state.revision}",
        err=True,
    )


@cli.command()
def forget(
    name: Annotated[str, typer.Argument(help="Label, in any spelling.")],
    sha256: Annotated[
        str | None, typer.Argument(help="The example to remove, as `show` has it; else all.")
    ] = None,
    label_set: SetOption = DEFAULT_SET,
) -> None:
    """Remove what a label was taught by."""
    with _store() as store:
        taught = store.forget(label_set, name, sha256)
    typer.echo(
        f"{taught.removed} removed; {taught.state.name!r} is at revision {taught.state.revision}",
        err=True,
    )


@cli.command("import")
def import_labels(
    file: Annotated[
        typer.FileText, typer.Argument(encoding="utf-8-sig", help="File to read; - for stdin.")
    ],
    file_format: FormatOption = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove what is not in the file.")
    ] = False,
    label_set: SetOption = DEFAULT_SET,
) -> None:
    """Add or replace the labels of a file: all of them, or none."""
    source = _LazyTagger(read_settings())
    with _store(source) as store:
        labels = new_labels(read_labels(file, file_format or _format_of(file.name)))
        write = store.replace if replace else store.upsert
        with _progress("embedding") as report:
            written = write(label_set, labels, report=report)
        _tell(written, _advice(store, labels, written, source))


@cli.command("export")
def export_labels(
    file: Annotated[typer.FileTextWrite, typer.Argument(help="File to write; - for stdout.")],
    file_format: FormatOption = None,
    label_set: SetOption = DEFAULT_SET,
) -> None:
    """Write all labels of a set; `import` reads them again."""
    with _store() as store:
        chosen = file_format or _format_of(file.name)
        for piece in write_labels((stored.new for stored in store.export(label_set)), chosen):
            file.write(piece)


@cli.command()
def sets() -> None:
    """List the label sets."""
    table = Table("set", "labels", "revision", box=None, header_style="bold")
    with _store() as store:
        after = ""
        while page := store.sets(after=after, limit=_PAGE):
            for state in page:
                table.add_row(state.name, str(state.size), str(state.revision))
            after = page[-1].name
    Console().print(table)


@cli.command()
def copy(
    source: Annotated[str, typer.Argument(help="Set to copy.")],
    target: Annotated[str, typer.Argument(help="Set to make.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite a set that exists.")
    ] = False,
) -> None:
    """Make a set that holds what another one holds."""
    with _store() as store:
        _tell(store.copy_set(source, target, condition=Condition(must_be_new=not replace)))


class _Refused(KinolexError):
    """A label that is not allowed."""

    code = "invalid_label"

    @classmethod
    def of(cls, error: ValidationError) -> "_Refused":
        return cls("; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors()))


@contextmanager
def _store(source: _LazyTagger | None = None) -> Generator[LabelStore]:
    """The configured store; an expected failure is one sentence and exit code 1."""
    settings = read_settings()
    source = source or _LazyTagger(settings)
    try:
        store = LabelStore.open(
            settings.store_url, source, max_labels=settings.max_labels, complete_vectors=False
        )
        try:
            yield store
        finally:
            store.close()
    except InvalidParameter as error:
        for fault in error.faults:
            typer.echo(f"{fault.pointer}: {fault.detail}", err=True)
        raise typer.Exit(1) from error
    except KinolexError as error:
        typer.echo(f"{error} ({error.code})", err=True)
        raise typer.Exit(1) from error


@contextmanager
def _progress(work: str) -> Generator[Report]:
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


def _matching(store: LabelStore, label_set: str, search: str) -> Iterator[NewLabel]:
    after: str | None = ""
    while after is not None:
        page = store.page(label_set, after=after, limit=_PAGE, query=search)
        yield from (stored.new for stored in page.labels)
        after = page.last_key


def _format_of(name: str) -> FileFormat:
    for file_format in MEDIA_TYPES:
        if name.endswith(f".{file_format}"):
            return file_format
    return "ndjson"


def _advice(
    store: LabelStore, labels: Sequence[NewLabel], written: Written, source: _LazyTagger
) -> list[Warned]:
    state = written.state
    large = advise_on_size(state, read_settings().many_labels)
    if large and written.embedded:
        # a running service has the index of its sets; here it would be read for this alone
        return [not_advised("the set is large"), *large]
    return [*advise(store, state.name, labels, written, source.text), *large]


def _tell(written: Written, warnings: Sequence[Warned] = ()) -> None:
    state = written.state
    typer.echo(
        f"{written.created} created, {written.updated} updated, {written.removed} removed; "
        f"{state.name!r} holds {state.size} at revision {state.revision}",
        err=True,
    )
    for warned in warnings:
        typer.echo(f"warning: {warned.detail} ({warned.code})", err=True)
