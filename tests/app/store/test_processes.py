"""The label store with several processes, and with writers killed at a random moment."""

import random
import signal
import subprocess
import sys

import pytest
from sqlalchemy import text

from app.store import DEFAULT_SET, LabelStore
from app.store.database import open_engine
from tests.support.paths import ROOT
from tests.support.word_vectors import WordSource


def start(url: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.store_process", url, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def outputs(processes: list[subprocess.Popen[str]]) -> list[list[str]]:
    lines = [process.communicate()[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return lines


def is_healthy(store: LabelStore) -> bool:
    if store.engine.dialect.name != "sqlite":
        return True
    with store.engine.connect() as connection:
        found: str = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
    return found == "ok"


def wait_until_disconnected(url: str) -> None:
    """Waits for PostgreSQL to finish or roll back what killed clients were writing."""
    engine = open_engine(url)
    if engine.dialect.name == "postgresql":
        others = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        left = 1
        while left:
            with engine.begin() as connection:
                left = connection.execute(others).scalar_one()
    engine.dispose()


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


def test_four_processes_create_a_new_database_once(url: str) -> None:
    found = outputs([start(url, "open") for _ in range(4)])

    embedded = [int(line.split()[0]) for [line] in found]
    assert sorted(embedded) == [0, 0, 0, 2]
    assert {tuple(line.split()[1:]) for [line] in found} == {("1", "2")}


def test_every_write_of_several_processes_is_kept_at_its_own_revision(url: str) -> None:
    said = outputs([start(url, "put", f"writer {number}", "0", "25") for number in range(3)])

    acknowledged = [line.split(maxsplit=2) for lines in said for line in lines]
    store = LabelStore.open(url, WordSource())
    names = {stored.new.label.name for stored in store.export(DEFAULT_SET)}
    state = store.state(DEFAULT_SET)
    store.close()
    revisions = [int(revision) for revision, _, _ in acknowledged]
    assert all(found == "True" for _, found, _ in acknowledged)
    assert {name for _, _, name in acknowledged} | {"juggling", "riding a horse"} == names
    assert sorted(revisions) == list(range(2, 77))
    assert (state.revision, state.size) == (76, 77)
    for lines in said:
        own = [int(line.split()[0]) for line in lines]
        assert own == sorted(own)


def test_labels_acknowledged_before_a_kill_are_stored(url: str) -> None:
    generator = random.Random(7)
    acknowledged: set[str] = set()
    revision = 0
    for attempt in range(3):
        process = start(url, "put", f"attempt {attempt}", "0")
        assert process.stdout is not None
        for _ in range(generator.randrange(1, 40)):
            number, _, name = process.stdout.readline().strip().split(maxsplit=2)
            assert int(number) > revision
            revision = int(number)
            acknowledged.add(name)
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].splitlines()
        # the kill may truncate the last line; complete lines were acknowledged
        acknowledged |= {line.split(maxsplit=2)[2] for line in rest[:-1]}
        wait_until_disconnected(url)

        store = LabelStore.open(url, WordSource())
        stored = {label.new.label.name for label in store.export(DEFAULT_SET)}
        snapshot = store.snapshot(DEFAULT_SET)
        state = store.state(DEFAULT_SET)
        assert is_healthy(store)
        store.close()
        assert acknowledged <= stored
        assert set(snapshot.index.names) == stored
        assert state.size == len(stored)
        assert state.revision >= revision
        revision = state.revision
