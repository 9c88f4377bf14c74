"""An index file is loaded as it was saved, and ignored when it was changed."""

import hashlib
import json
import sys
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.index.index_file import load_index, save_index
from model.index.label_index import LabelIndex
from model.index.shortlist import Shortlist
from tests.model.index.test_label_index import (
    DIM,
    Items,
    check_against_comparison,
    labels,
    prototypes,
    unit,
)

STAMP = {"set": "default", "revision": 7, "thresholds": {"ä": 0.5}}


@settings(deadline=None, max_examples=50)
@given(items=labels(), seed=st.integers(0, 2**32), with_shortlist=st.booleans())
def test_a_saved_index_is_loaded_and_can_be_written_to(
    tmp_path_factory: pytest.TempPathFactory, items: Items, seed: int, with_shortlist: bool
) -> None:
    path = tmp_path_factory.mktemp("index") / "labels.index"
    index = LabelIndex.build(items, DIM)
    if with_shortlist and len(index.base.rows) >= 16:
        index = LabelIndex.of(index.base, Shortlist.over(index.base.rows, index.base.rows))

    save_index(index, path, STAMP)
    found = load_index(path)

    assert found is not None
    stamp, loaded = found
    assert stamp == STAMP
    assert loaded.names == index.names
    assert (loaded.shortlist is None) == (index.shortlist is None)
    check_against_comparison(loaded, items, seed, 5)
    written = loaded.upsert([("new", prototypes([1.0, 0.0, 0.0, 0.0]))]).remove(["a"])
    kept = [item for item in items if item[0] != "a"]
    check_against_comparison(written, [*kept, ("new", prototypes([1.0, 0.0, 0.0, 0.0]))], seed, 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    vectors = unit(np.random.default_rng(0), 50)
    index = LabelIndex.build(((f"label {n}", prototypes(v)) for n, v in enumerate(vectors)), DIM)
    save_index(index, tmp_path / "labels.index", STAMP)
    return tmp_path / "labels.index"


def test_a_file_with_any_byte_changed_is_ignored(path: Path) -> None:
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert load_index(path) is None
    path.write_bytes(content)
    assert load_index(path) is not None


@pytest.mark.parametrize("length", [0, 1, 8, 40, 48, 500, -1])
def test_a_truncated_file_is_ignored(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    assert load_index(path) is None


def test_a_missing_file_is_none(path: Path) -> None:
    assert load_index(path.with_name("missing")) is None


def test_another_format_version_is_ignored(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b"kinolex label index 3", b"kinolex label index 2"))
    assert load_index(path) is None


def test_a_file_of_the_first_format_is_ignored(path: Path) -> None:
    path.write_bytes(first_format())
    assert load_index(path) is None


def first_format() -> bytes:
    """A valid file of the format before safetensors, without labels."""
    header = json.dumps({"stamp": STAMP, "arrays": {}}).encode()
    content = len(header).to_bytes(8, "little") + header
    return b"KNLXIDX1" + hashlib.sha256(content).digest() + content


def test_codes_that_faiss_cannot_read_are_ignored(path: Path) -> None:
    class OfAnotherVersion(Shortlist):
        @property
        def packed(self) -> list[npt.NDArray[np.uint8]]:
            first, *others = super().packed
            first[:4] = 0
            return [first, *others]

    base = LabelIndex.build(((f"label {n}", prototypes([1.0, 0.0])) for n in range(20)), 2).base
    codes = OfAnotherVersion.over(base.rows, base.rows)
    save_index(LabelIndex.of(base, codes), path, STAMP)
    assert load_index(path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
def test_vectors_are_mapped_from_the_file_not_copied(path: Path) -> None:
    found = load_index(path)
    assert found is not None
    rows = found[1].base.rows
    mapped = [
        tuple(int(bound, 16) for bound in line.split()[0].split("-"))
        for line in Path("/proc/self/maps").read_text().splitlines()
        if line.endswith(f" {path}")
    ]
    assert any(start <= rows.ctypes.data < end for start, end in mapped)
    assert not rows.flags.writeable


def test_an_index_in_two_blocks_is_not_saved(path: Path) -> None:
    index = LabelIndex.build([("a", prototypes([1.0, 0.0]))], 2)
    with pytest.raises(ValueError, match="one block"):
        save_index(index.upsert([("b", prototypes([0.0, 1.0]))]), path, STAMP)


def test_a_concurrent_reader_always_finds_a_whole_file(path: Path) -> None:
    found = load_index(path)
    assert found is not None
    index = found[1]
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            save_index(index, path, STAMP)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert all(load_index(path) is not None for _ in range(50))
    finally:
        stop.set()
        writer.join()
    assert [each.name for each in path.parent.iterdir()] == ["labels.index"]
