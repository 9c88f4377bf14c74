"""The label store under several processes, and under a kill at a random moment."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.store import DEFAULT_SET, LabelStore
from tests.support.word_vectors import WordSource

ROOT = Path(__file__).resolve().parents[3]


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
        return connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


def test_four_processes_on_an_empty_folder_fill_it_once(url: str) -> None:
    found = outputs([start(url, "open") for _ in range(4)])

    embedded = [int(line.split()[0]) for [line] in found]
    assert sorted(embedded) == [0, 0, 0, 2]
    assert {tuple(line.split()[1:]) for [line] in found} == {("1", "2")}


def test_writers_in_several_processes_lose_nothing_and_never_share_a_revision(url: str) -> None:
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


def test_a_killed_writer_leaves_every_acknowledged_label(url: str) -> None:
    generator = random.Random(7)
    acknowledged: set[str] = set()
    revision = 0
    for turn in range(3):
        process = start(url, "put", f"turn {turn}", "0")
        assert process.stdout is not None
        for _ in range(generator.randrange(1, 40)):
            number, _, name = process.stdout.readline().strip().split(maxsplit=2)
            assert int(number) > revision
            revision = int(number)
            acknowledged.add(name)
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].splitlines()
        # the last line may be cut off by the kill; what is whole was acknowledged
        acknowledged |= {line.split(maxsplit=2)[2] for line in rest[:-1]}

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
