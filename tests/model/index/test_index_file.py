"""The index's file gives back what was saved, and nothing when it was touched."""

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.index.index_file import load_index, save_index
from model.index.label_index import LabelIndex
from model.index.shortlist import Shortlist
from tests.model.index.test_label_index import (
    DIM,
    check_against_comparison,
    labels,
    prototypes,
    unit,
)

STAMP = {"set": "default", "revision": 7, "thresholds": {"ä": 0.5}}


@settings(deadline=None, max_examples=50)
@given(items=labels(), seed=st.integers(0, 2**32), with_shortlist=st.booleans())
def test_what_is_saved_is_loaded(tmp_path_factory, items, seed, with_shortlist):
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
    # it goes on like any other index
    written = loaded.upsert([("new", prototypes([1.0, 0.0, 0.0, 0.0]))]).remove(["a"])
    kept = [item for item in items if item[0] != "a"]
    check_against_comparison(written, [*kept, ("new", prototypes([1.0, 0.0, 0.0, 0.0]))], seed, 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    vectors = unit(np.random.default_rng(0), 50)
    index = LabelIndex.build(((f"label {n}", prototypes(v)) for n, v in enumerate(vectors)), DIM)
    save_index(index, tmp_path / "labels.index", STAMP)
    return tmp_path / "labels.index"


def test_a_changed_byte_anywhere_makes_the_file_worthless(path):
    content = path.read_bytes()
    for at in range(0, len(content), 17):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert load_index(path) is None
    path.write_bytes(content)
    assert load_index(path) is not None


@pytest.mark.parametrize("length", [0, 1, 8, 40, 48, 500, -1])
def test_a_file_that_was_cut_short_is_worthless(path, length):
    path.write_bytes(path.read_bytes()[:length])
    assert load_index(path) is None


def test_another_version_or_no_file_is_worthless(path):
    path.write_bytes(b"KNLXIDX0" + path.read_bytes()[8:])
    assert load_index(path) is None
    assert load_index(path.with_name("missing")) is None


def test_an_index_in_two_blocks_is_not_saved(path):
    index = LabelIndex.build([("a", prototypes([1.0, 0.0]))], 2)
    with pytest.raises(ValueError, match="one block"):
        save_index(index.upsert([("b", prototypes([0.0, 1.0]))]), path, STAMP)


def test_whoever_reads_while_it_is_written_finds_a_whole_file(path):
    found = load_index(path)
    assert found is not None
    index = found[1]
    stop = threading.Event()

    def write():
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
