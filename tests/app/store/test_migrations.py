"""Migrations create the tables of the model, can be undone, and refuse a newer schema."""

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from app.store import LabelStore, StoreMismatch
from app.store.database import migrate, migrate_down, open_engine
from app.store.tables import Base
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


def test_a_database_of_a_newer_release_is_refused(store: LabelStore, url: str) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreMismatch):
        LabelStore.open(url, WordSource())
