"""An index file saves a start from reading the set, and is ignored if it may be wrong."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from app.store import DEFAULT_SET, LabelStore, NewLabel
from app.store.index_cache import MIN_SAVED
from model import Label, load_index
from tests.model.index.test_index_file import first_format
from tests.support.word_vectors import WordSource

# few distinct words: generating the vector of a word takes a while
NAMES = [f"w{number % 101} v{number // 101}" for number in range(MIN_SAVED)]


def opened(folder: Path, salt: str = "") -> LabelStore:
    url = f"sqlite:///{folder / 'labels.sqlite'}"
    source = WordSource(dim=4, salt=salt)
    return LabelStore.open(url, source, first_labels=NAMES, cache_folder=folder / "cache")


def index_files(folder: Path) -> list[Path]:
    return sorted((folder / "cache").glob("*.index"))


def wait_until(condition: Callable[[], bool]) -> None:
    """Polls what the compaction thread does; closing a store cancels what has not started."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a large set and its index file."""
    folder = tmp_path_factory.mktemp("large")
    store = opened(folder)
    assert len(store.snapshot(DEFAULT_SET).index) == MIN_SAVED
    wait_until(lambda: len(index_files(folder)) == 1)
    store.close()
    return folder


@pytest.fixture
def folder(large: Path, tmp_path: Path) -> Path:
    """A copy whose database has zeroed vectors: similarities can only come from the file."""
    copied = tmp_path / "copy"
    shutil.copytree(large, copied)
    change(copied, "UPDATE prototypes SET vectors = zeroblob(length(vectors))")
    return copied


def change(folder: Path, statement: str) -> None:
    store = LabelStore.open(
        f"sqlite:///{folder / 'labels.sqlite'}", WordSource(dim=4), complete_vectors=False
    )
    with store.engine.begin() as connection:
        connection.execute(text(statement))
    store.close()


def similarity(store: LabelStore, name: str) -> float:
    query = WordSource(dim=4).video_of(name)
    return store.snapshot(DEFAULT_SET).index.search(query, 1)[0][0].similarity


def test_a_start_uses_the_file_and_the_writes_since_then(folder: Path) -> None:
    first = LabelStore.open(f"sqlite:///{folder / 'labels.sqlite'}", WordSource(dim=4))
    first.upsert(DEFAULT_SET, [NewLabel(Label("swimming"), enabled=True)])
    first.upsert(DEFAULT_SET, [NewLabel(Label(NAMES[3]), enabled=False)])
    first.remove(DEFAULT_SET, NAMES[5])
    first.close()

    store = opened(folder)

    names = set(store.snapshot(DEFAULT_SET).index.names)
    assert names == {"swimming", *NAMES} - {NAMES[3], NAMES[5]}
    assert similarity(store, NAMES[7]) == pytest.approx(1.0, abs=1e-5)
    assert similarity(store, "swimming") == pytest.approx(1.0, abs=1e-5)
    store.close()


def ignores_the_file(folder: Path) -> bool:
    store = opened(folder)
    found = similarity(store, NAMES[7])
    store.close()
    return found < 0.5


def test_a_damaged_file_is_ignored(folder: Path) -> None:
    [path] = index_files(folder)
    content = path.read_bytes()
    path.write_bytes(content[:5_000] + b"?" + content[5_001:])

    assert ignores_the_file(folder)


def test_a_file_of_the_first_format_is_ignored_and_replaced(large: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(large, folder)
    [path] = index_files(folder)
    path.write_bytes(first_format())

    store = opened(folder)
    found = similarity(store, NAMES[7])
    wait_until(lambda: load_index(path) is not None)
    store.close()

    assert found == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM labels WHERE id = 9",
        "UPDATE labels SET updated_at = '2999-01-01 00:00:00.000000' WHERE id = 9",
        "UPDATE label_sets SET created_at = '2001-01-01 00:00:00.000000'",
        "UPDATE label_sets SET revision = 0",
        "UPDATE label_sets SET complete_since = 2, revision = 3",
    ],
    ids=["fewer labels", "written later", "another set", "older", "history lost"],
)
def test_a_file_of_another_history_is_ignored(folder: Path, statement: str) -> None:
    change(folder, statement)

    assert ignores_the_file(folder)


def test_each_text_space_has_its_own_file(large: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(large, folder)
    store = opened(folder, salt="other")
    store.wait_until_embedded()
    query = WordSource(dim=4, salt="other").video_of(NAMES[7])
    [[hit]] = store.snapshot(DEFAULT_SET).index.search(query, 1)
    wait_until(lambda: len(index_files(folder)) == 2)
    store.close()

    assert hit.similarity == pytest.approx(1.0, abs=1e-5)
