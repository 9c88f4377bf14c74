"""Migrations create the tables of the model, can be undone, and refuse a newer schema."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from app.store import DEFAULT_SET, LabelStore, NewLabel, StoreMismatch, database
from app.store.database import migrate, migrate_down, newest_revision, open_engine
from app.store.tables import Base
from model import Label, label_key
from tests.support.spellings import full_width
from tests.support.word_vectors import WordSource


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
def store(url: str) -> Iterator[LabelStore]:
    store = LabelStore.open(url, WordSource(), first_labels=["juggling"])
    yield store
    store.close()


def test_migrations_go_up_and_down(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    made = set(inspect(engine).get_table_names())

    migrate_down(engine, "base")
    left = set(inspect(engine).get_table_names())
    migrate(engine)

    assert {"label_sets", "labels", "prototypes", "removals"} <= made
    assert left == {"alembic_version"}
    assert set(inspect(engine).get_table_names()) == made
    engine.dispose()


def test_migrations_create_the_tables_of_the_model(store: LabelStore) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, Base.metadata) == []


def test_stored_names_lose_invisible_characters_and_no_label_is_lost(
    store: LabelStore, url: str
) -> None:
    older = "0003"
    migrate_down(store.engine, older)
    names = {"juggling\u200b": "juggling (2)", "row\u00ading": "rowing", "\u3164": "label 4"}
    store.upsert(DEFAULT_SET, [NewLabel(Label(f"new {number}")) for number in range(len(names))])
    with store.engine.begin() as connection:
        for number, old in enumerate(names):
            connection.execute(
                text("UPDATE labels SET name = :old, key = :old WHERE key = :key"),
                {"old": old, "key": f"new {number}"},
            )
    before = store.state(DEFAULT_SET)

    with closing(LabelStore.open(url, WordSource())) as opened:
        page = opened.page(DEFAULT_SET)
        found = opened.snapshot(DEFAULT_SET).index.search(WordSource().video_of("rowing"), 1)

    assert {stored.new.label.name for stored in page.labels} == {"juggling", *names.values()}
    assert all(stored.new.key == label_key(stored.new.label.name) for stored in page.labels)
    assert (page.state.size, page.state.revision) == (4, before.revision + 1)
    assert found[0][0].name == "rowing"


def test_stored_names_of_full_width_become_the_label_of_their_plain_letters(
    store: LabelStore, url: str
) -> None:
    migrate_down(store.engine, "0008")
    juggling, rowing, play = full_width("juggling"), full_width("Rowing"), "child\u2019s play"
    names = {juggling: f"{juggling} (2)", rowing: rowing, play: play}
    store.upsert(DEFAULT_SET, [NewLabel(Label(f"new {number}")) for number in range(len(names))])
    with store.engine.begin() as connection:
        for number, old in enumerate(names):
            connection.execute(
                text("UPDATE labels SET name = :old, key = :key WHERE key = :stored"),
                {"old": old, "key": old.casefold(), "stored": f"new {number}"},
            )
    source = WordSource()

    with closing(LabelStore.open(url, source)) as opened:
        opened.wait_until_embedded()
        page = opened.page(DEFAULT_SET)
        found = opened.page(DEFAULT_SET, query="rowing").labels

    assert {stored.new.label.name for stored in page.labels} == {"juggling", *names.values()}
    assert [stored.new.label.name for stored in found] == [rowing]
    assert set(source.embedded) == set(names.values())
    with store.engine.connect() as connection:
        keys = set(connection.scalars(text("SELECT key FROM labels")))
    assert keys == {"juggling", "juggling (2)", "rowing", "child's play"}


def test_the_newest_file_is_the_last_migration() -> None:
    folder = Path(database.__file__).parent / "migrations"

    assert newest_revision() == ScriptDirectory(folder).get_current_head()


def test_a_current_schema_is_opened_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'labels.sqlite'}"
    engine = open_engine(url)
    migrate(engine)
    with engine.connect() as connection:
        connection.connection.cursor().execute("PRAGMA journal_mode=DELETE")
    engine.dispose()
    opens = (
        "import sys; from app.store.database import migrate, open_engine; "
        f"migrate(open_engine({url!r})); sys.exit('alembic' in sys.modules)"
    )

    subprocess.run([sys.executable, "-c", opens], check=True)

    assert (tmp_path / "labels.sqlite").read_bytes()[18:20] == bytes([2, 2]), "not in WAL mode"


def test_a_database_of_a_newer_release_is_refused(store: LabelStore, url: str) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreMismatch):
        LabelStore.open(url, WordSource())
