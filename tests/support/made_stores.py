"""Databases that were made once in this process, and are copied for each test.

Migrating a new database and embedding its first labels takes longer than most tests.
"""

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from app.settings import Settings
from app.store import LabelStore
from app.store.database import close_engine, migrate, open_engine
from tests.support.fakes import colour_tagger
from tests.support.word_vectors import WordSource


def copy_colours_store(settings: Settings) -> None:
    """Put what a service of colours stores at its first start where these settings want it.

    Does nothing if the settings name a database elsewhere, or the data folder is there already.
    """
    if not settings.database_url and not settings.data_dir.exists():
        settings.data_dir.mkdir(parents=True)
        (settings.data_dir / "labels.sqlite").write_bytes(_colours())


def copy_migrated(file: Path) -> None:
    """Write an SQLite database with all tables and no rows."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_migrated())


def copy_two_labels(file: Path) -> None:
    """Write an SQLite database whose default set has the labels juggling and riding a horse."""
    file.write_bytes(_two_labels())


@cache
def _two_labels() -> bytes:
    first = ["juggling", "riding a horse"]
    return _made(lambda url: LabelStore.open(url, WordSource(), first_labels=first).close())


@cache
def _colours() -> bytes:
    return _made(lambda url: LabelStore.open(url, colour_tagger()).close())


@cache
def _migrated() -> bytes:
    return _made(migrate_at)


def migrate_at(url: str) -> None:
    """Make the tables of this release in the database with this URL."""
    engine = open_engine(url)
    try:
        migrate(engine)
    finally:
        close_engine(engine)


def _made(make: Callable[[str], None]) -> bytes:
    folder = Path(tempfile.mkdtemp())
    try:
        make(f"sqlite:///{folder / 'made.sqlite'}")
        # the last connection wrote the write-ahead log into the file
        assert [path.name for path in folder.glob("made.sqlite-*")] == []
        return (folder / "made.sqlite").read_bytes()
    finally:
        shutil.rmtree(folder)
