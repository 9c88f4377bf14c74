"""A database that is moved, deleted, replaced, full or read-only: a clear error, and recovery."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from sqlite3 import Connection as SqliteConnection

import pytest
from sqlalchemy import event

from app.store import (
    DEFAULT_SET,
    LabelStore,
    NewLabel,
    StoreFull,
    StoreMoved,
    StoreReadOnly,
)
from app.store.health.check import database_failure
from model import Label
from tests.support.word_vectors import WordSource

FIRST = ["juggling", "riding a horse"]


def open_store(folder: Path) -> LabelStore:
    url = f"sqlite:///{folder / 'labels.sqlite'}"
    return LabelStore.open(url, WordSource(), first_labels=FIRST)


def put(store: LabelStore, *names: str) -> None:
    store.upsert(DEFAULT_SET, [NewLabel(Label(name)) for name in names])


def names_in(store: LabelStore) -> set[str]:
    return {stored.new.label.name for stored in store.export(DEFAULT_SET)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with closing(open_store(tmp_path)) as store:
        yield store


def test_a_database_that_is_moved_away_refuses_until_it_is_back(
    store: LabelStore, tmp_path: Path
) -> None:
    put(store, "swimming")
    file = tmp_path / "labels.sqlite"
    file.rename(tmp_path / "elsewhere")

    with pytest.raises(StoreMoved, match="moved or deleted"):
        put(store, "diving")
    with pytest.raises(StoreMoved):
        store.state(DEFAULT_SET)
    assert isinstance(database_failure(store.engine), StoreMoved)
    assert not file.exists()

    (tmp_path / "elsewhere").rename(file)
    put(store, "diving")
    assert names_in(store) == {*FIRST, "swimming", "diving"}
    assert database_failure(store.engine) is None


def test_nothing_that_was_acknowledged_is_missing_from_a_file_that_was_moved(
    store: LabelStore, tmp_path: Path
) -> None:
    put(store, "swimming")
    (tmp_path / "labels.sqlite").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreMoved):
        put(store, "diving")

    new = tmp_path / "new"
    new.mkdir()
    (tmp_path / "elsewhere").rename(new / "labels.sqlite")
    with closing(open_store(new)) as other:
        assert names_in(other) == {*FIRST, "swimming"}


def test_a_write_during_which_the_file_goes_is_not_acknowledged(
    store: LabelStore, tmp_path: Path
) -> None:
    def delete(_done: int, _total: int) -> None:
        (tmp_path / "labels.sqlite").unlink(missing_ok=True)

    with pytest.raises(StoreMoved):
        store.upsert(DEFAULT_SET, [NewLabel(Label("swimming"))], report=delete)


def test_a_backup_in_the_place_of_a_deleted_database_is_used(
    store: LabelStore, tmp_path: Path
) -> None:
    put(store, "swimming")
    assert "swimming" in store.snapshot(DEFAULT_SET).index.names
    backup = tmp_path / "backup"
    with closing(open_store(backup)):
        pass
    (tmp_path / "labels.sqlite").unlink()
    with pytest.raises(StoreMoved):
        put(store, "diving")

    shutil.copy(backup / "labels.sqlite", tmp_path / "labels.sqlite")

    assert names_in(store) == set(FIRST)
    assert set(store.snapshot(DEFAULT_SET).index.names) == set(FIRST)
    put(store, "diving")
    assert names_in(store) == {*FIRST, "diving"}


def test_a_file_of_another_kind_in_its_place_is_refused(store: LabelStore, tmp_path: Path) -> None:
    file = tmp_path / "labels.sqlite"
    file.rename(tmp_path / "elsewhere")
    file.touch()

    with pytest.raises(StoreMoved, match="another file"):
        put(store, "diving")
    assert file.stat().st_size == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_refuses_writes_until_there_is_space(small_disk: Path) -> None:
    with closing(open_store(small_disk)) as store:
        put(store, "swimming")
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass

        with pytest.raises(StoreFull):
            put(store, *(f"label {number}" for number in range(500)))
        assert isinstance(database_failure(store.engine), StoreFull)
        assert names_in(store) == {*FIRST, "swimming"}

        filler.unlink()
        put(store, "diving")
        assert names_in(store) == {*FIRST, "swimming", "diving"}
        assert database_failure(store.engine) is None


def test_a_database_that_becomes_read_only_refuses_writes_until_it_is_not(
    store: LabelStore,
) -> None:
    put(store, "swimming")

    def switch(state: str) -> None:
        # a disk cannot become read-only by command while a file on it is open for writing
        def pragma(connection: SqliteConnection, _record: object) -> None:
            connection.execute(f"PRAGMA query_only={state}")

        event.listen(store.engine, "connect", pragma)
        store.engine.dispose()

    switch("ON")
    with pytest.raises(StoreReadOnly):
        put(store, "diving")
    assert names_in(store) == {*FIRST, "swimming"}

    switch("OFF")
    put(store, "diving")
    assert names_in(store) == {*FIRST, "swimming", "diving"}


def test_a_disk_that_is_read_only_is_noticed(small_disk: Path) -> None:
    with closing(open_store(small_disk)) as store:
        engine = store.engine
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    assert isinstance(database_failure(engine), StoreReadOnly)

    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert database_failure(engine) is None
    engine.dispose()


@pytest.mark.postgres
def test_a_read_only_postgres_refuses_writes_until_it_is_not(postgres_url: str) -> None:
    def switch(store: LabelStore, state: str) -> None:
        database = store.engine.url.database
        with store.engine.connect() as connection:
            connection.exec_driver_sql(
                f'ALTER DATABASE "{database}" SET default_transaction_read_only = {state}'
            )
            connection.commit()
        store.engine.dispose()

    with closing(LabelStore.open(postgres_url, WordSource(), first_labels=FIRST)) as store:
        assert database_failure(store.engine) is None
        switch(store, "on")
        with pytest.raises(StoreReadOnly):
            put(store, "diving")
        assert isinstance(database_failure(store.engine), StoreReadOnly)
