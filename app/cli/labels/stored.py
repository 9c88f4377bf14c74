"""The label store of the configured database, as `kinolex labels` opens it."""

import hashlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from pydantic import ValidationError

from app.cli.storage import print_database
from app.errors import InvalidParameter
from app.settings import Settings
from app.store import Example, LabelStore, NewLabel, SetState
from model import KinolexError, Label, Prototypes, VideoError

if TYPE_CHECKING:
    from model import Tagger

_PAGE = 1_000


class LazyTagger:
    """Stands in for the configured checkpoint's Tagger and loads it at the first use.

    Loading takes seconds; commands that neither embed nor compare labels do not need it.
    """

    def __init__(self, settings: Settings) -> None:
        self.load = cache(partial(_load_tagger, settings))

    def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
        """Return each label's vectors; a store takes this method when it is opened."""
        return self.load().prototypes(labels)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.load(), name)


def _load_tagger(settings: Settings) -> "Tagger":
    from app.labels.default_vectors import with_default_vectors
    from model import load_checkpoint

    load = partial(load_checkpoint, text_model=settings.text_model)
    return with_default_vectors(load(settings.checkpoint) if settings.checkpoint else load())


@contextmanager
def label_store(settings: Settings, tagger: LazyTagger | None = None) -> Generator[LabelStore]:
    """Open the label store for the block; print expected errors and exit with code 1.

    Says first which database it is.
    """
    print_database(settings)
    try:
        store = LabelStore.open(
            settings.store_url,
            tagger or LazyTagger(settings),
            max_labels=settings.max_labels,
            complete_vectors=False,
        )
        try:
            yield store
        finally:
            store.close()
    except ValidationError as error:
        faults = "; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors())
        typer.echo(f"{faults} (invalid_label)", err=True)
        raise typer.Exit(1) from error
    except InvalidParameter as error:
        for fault in error.faults:
            typer.echo(f"{fault.pointer}: {fault.detail}", err=True)
        raise typer.Exit(1) from error
    except KinolexError as error:
        typer.echo(f"{error} ({error.code})", err=True)
        raise typer.Exit(1) from error


def matching_labels(store: LabelStore, label_set: str, search: str) -> Iterator[NewLabel]:
    """Yield the labels of a set that contain `search`, sorted by key. Raises SetNotFound."""
    after: str | None = ""
    while after is not None:
        page = store.page(label_set, after=after, limit=_PAGE, query=search)
        yield from (stored.new for stored in page.labels)
        after = page.last_key


def all_sets(store: LabelStore) -> Iterator[SetState]:
    """Yield all label sets, sorted by name."""
    after = ""
    while page := store.sets(after=after, limit=_PAGE):
        yield from page
        after = page[-1].name


def embed_example(tagger: "Tagger", video: Path) -> Example:
    """Embed a video as an example of a label. Raises a VideoError that names the file."""
    with video.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        try:
            _, embedding = tagger.embed(file)
        except VideoError as error:
            raise type(error)(f"{video}: {error}") from error
    return Example(digest, embedding)
