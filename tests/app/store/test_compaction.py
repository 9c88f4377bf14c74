"""While an index is compacted in the background, requests do not wait and no write is lost."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from app.store import DEFAULT_SET, LabelSnapshot, LabelStore, NewLabel
from model import Label, LabelIndex
from tests.support.word_vectors import WordSource

# more changes than an index keeps in its small block before a merge
MANY = 2_100
# a limit for failures only: nothing here takes a second
_GIVE_UP_SECONDS = 120.0


class SlowlyMergedSource(WordSource):
    """Blocks each merge, which starts by reading `typical_videos`, until `may_merge` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.is_merging = threading.Event()
        self.may_merge = threading.Event()
        self.gave_up = False

    @property
    def typical_videos(self) -> npt.NDArray[np.float32]:
        self.is_merging.set()
        self.gave_up = not self.may_merge.wait(_GIVE_UP_SECONDS)
        return super().typical_videos


@pytest.fixture
def source() -> SlowlyMergedSource:
    return SlowlyMergedSource()


@pytest.fixture
def store(source: SlowlyMergedSource, tmp_path: Path) -> Iterator[LabelStore]:
    """A store whose index is being merged."""
    url = f"sqlite:///{tmp_path / 'labels.sqlite'}"
    store = LabelStore.open(url, source, first_labels=["juggling", "riding a horse"])
    store.snapshot(DEFAULT_SET)
    store.upsert(DEFAULT_SET, named(*(f"label {number}" for number in range(MANY))))
    store.snapshot(DEFAULT_SET)
    assert source.is_merging.wait(_GIVE_UP_SECONDS)
    yield store
    source.may_merge.set()
    store.close()


def named(*names: str) -> list[NewLabel]:
    return [NewLabel(Label(name)) for name in names]


def best(store: LabelStore, source: WordSource, shown: str) -> str:
    hits = store.snapshot(DEFAULT_SET).index.search(source.video_of(shown), 1)[0]
    return hits[0].name


def when_merged(store: LabelStore, old: LabelIndex) -> LabelSnapshot:
    """Polls for the first snapshot with another large block."""
    end = time.monotonic() + _GIVE_UP_SECONDS
    while (snapshot := store.snapshot(DEFAULT_SET)).index.base is old.base:
        assert time.monotonic() < end
        time.sleep(0.01)
    return snapshot


def test_searches_and_writes_do_not_wait_for_a_merge(
    store: LabelStore, source: SlowlyMergedSource
) -> None:
    before = store.snapshot(DEFAULT_SET).index

    assert best(store, source, "juggling") == "juggling"
    store.upsert(DEFAULT_SET, named("swimming"))
    assert best(store, source, "swimming") == "swimming"
    store.remove(DEFAULT_SET, "juggling")
    assert best(store, source, "juggling") != "juggling"

    # nothing waited for the merge, which is still blocked
    assert not source.gave_up
    assert store.snapshot(DEFAULT_SET).index.base is before.base
    assert len(before.base) == 2


def test_writes_during_a_merge_are_in_the_merged_index(
    store: LabelStore, source: SlowlyMergedSource
) -> None:
    before = store.snapshot(DEFAULT_SET)
    store.upsert(DEFAULT_SET, [*named("swimming"), NewLabel(Label("label 7", threshold=0.7))])
    store.remove(DEFAULT_SET, "juggling")
    assert "swimming" in store.snapshot(DEFAULT_SET).index.names

    source.may_merge.set()
    merged = when_merged(store, before.index)

    expected = ["riding a horse", *(f"label {number}" for number in range(MANY)), "swimming"]
    assert merged.revision == before.revision + 2
    assert len(merged.index.base) == MANY + 2
    assert sorted(merged.index.names) == sorted(expected)
    assert merged.index.thresholds == {"label 7": 0.7}
    assert best(store, source, "swimming") == "swimming"
    assert not merged.index.needs_merge
