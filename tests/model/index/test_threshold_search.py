"""Labels below their own threshold make room for the next ones, without a search for all."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import Calibration, CalibrationConfig, Hit, LabelBlock, LabelIndex, Prototypes
from model.calibration import RIVALS
from model.index.threshold_search import (
    ScoredHits,
    drop_below_thresholds,
    search_above_thresholds,
)
from model.tags import select_tags, tags_of

DIM = 4
NAMES = [f"label {number}" for number in range(200)]
CALIBRATION = Calibration(CalibrationConfig(score_slope=4.0, score_bias=-1.0))
COMPETING = Calibration(CalibrationConfig(score_slope=4.0, score_bias=-1.0, rivalry=0.5))

counts = st.integers(1, len(NAMES))
shares = st.floats(0, 1)


class WatchedIndex(LabelIndex):
    """Remembers how many labels each search asked for."""

    asked: list[int]

    def search(
        self,
        embeddings: npt.NDArray[np.float32],
        top_k: int,
        among: Callable[[LabelBlock], npt.NDArray[np.bool_]] | None = None,
    ) -> list[list[Hit]]:
        self.asked.append(top_k)
        return super().search(embeddings, top_k, among)


def unit(rows: int, seed: int) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((rows, DIM)).astype(np.float32)
    units: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units


def index_of(count: int, seed: int = 0) -> WatchedIndex:
    background = np.array([[0.0, 1.0]], np.float32)
    rows = zip(NAMES, unit(count, seed), strict=False)
    WatchedIndex.asked = []
    return WatchedIndex.build(
        [(name, Prototypes((name,), row[np.newaxis], background)) for name, row in rows], DIM
    )


def search(
    index: LabelIndex, video: npt.NDArray[np.float32], top_k: int, min_score: float = 0.0
) -> list[Hit]:
    return list(search_scored(index, video, top_k, min_score).hits)


def search_scored(
    index: LabelIndex,
    video: npt.NDArray[np.float32],
    top_k: int,
    min_score: float = 0.0,
    calibration: Calibration = CALIBRATION,
) -> ScoredHits:
    [found] = search_above_thresholds(
        index, video, top_k, min_score=min_score, calibration=calibration
    )
    return found


def search_windows(
    index: LabelIndex, windows: npt.NDArray[np.float32], top_k: int
) -> list[list[Hit]]:
    found = search_above_thresholds(index, windows, top_k, min_score=0.0, calibration=CALIBRATION)
    return [list(drop_below_thresholds(index, scored, top_k).hits) for scored in found]


def selected(index: LabelIndex, found: ScoredHits, top_k: int, min_score: float) -> list[str]:
    tags = select_tags(tags_of(found), index, top_k=top_k, min_score=min_score)
    return [tag.label for tag in tags]


@given(
    count=counts,
    top_k=counts,
    thresholds=st.dictionaries(st.sampled_from(NAMES), shares),
    min_score=st.just(0.0) | shares,
    seed=st.integers(0, 2**32 - 1),
)
def test_the_answer_is_that_of_a_search_for_all(
    count: int, top_k: int, thresholds: dict[str, float], min_score: float, seed: int
) -> None:
    index = index_of(count, seed)
    of_index = {name: value for name, value in thresholds.items() if name in index.names}
    index = index.with_thresholds(of_index)
    video = unit(1, seed + 1)

    found = search_scored(index, video, top_k, min_score, COMPETING)

    everything = LabelIndex.search(index, video, count)[0]
    scale = COMPETING.scale([hit.standardised for hit in everything], 1.0)
    assert list(found.hits) == everything[: len(found.hits)]
    assert found.scale == scale
    expected = selected(index, ScoredHits(everything, scale), top_k, min_score)
    assert selected(index, found, top_k, min_score) == expected


@pytest.mark.parametrize("strict", [0, 150], ids=["without thresholds", "with thresholds"])
def test_each_window_keeps_its_nearest_labels_and_those_that_pass(strict: int) -> None:
    index = index_of(200).with_thresholds(dict.fromkeys(NAMES[:strict], 1.0))
    windows = unit(3, 1)

    found = search_windows(index, windows, 10)

    for hits, everything in zip(found, LabelIndex.search(index, windows, 200), strict=True):
        assert hits[:10] == everything[:10]
        passing = [hit for hit in everything if hit.name not in index.thresholds]
        assert [hit for hit in hits if hit.name not in index.thresholds][:10] == passing[:10]
        assert all(hit in passing for hit in hits[10:])


@pytest.mark.parametrize("threshold", [0.0, 1.0], ids=["all pass", "none passes"])
def test_thresholds_of_all_labels_cost_no_search_for_all(threshold: float) -> None:
    index = index_of(200)
    index = index.with_thresholds(dict.fromkeys(index.names, threshold))

    search(index, unit(1, 1), 5)

    assert len(index.asked) == 1
    assert index.asked[0] < RIVALS + 30


@pytest.mark.parametrize("top_k", [5, 50])
def test_without_thresholds_just_those_asked_and_their_rivals_are_searched(top_k: int) -> None:
    index = index_of(200)

    hits = search(index, unit(1, 1), top_k)

    assert (len(hits), index.asked) == (top_k, [max(top_k, RIVALS)])


def test_a_label_far_down_is_found_and_the_search_grows_by_doubling() -> None:
    index = index_of(200)
    video = unit(1, 1)
    last = LabelIndex.search(index, video, 200)[0][-1].name
    strict = {name: 1.0 for name in index.names if name != last}

    found = search_scored(index.with_thresholds(strict), video, 1)

    assert selected(index.with_thresholds(strict), found, 200, 0.0) == [last]
    assert index.asked == [48, 96, 192, 200]


def test_thresholds_of_removed_labels_do_not_end_a_search_early() -> None:
    video = unit(1, 1)
    nearest = [hit.name for hit in LabelIndex.search(index_of(200), video, 200)[0]]
    strict = index_of(200).with_thresholds(dict.fromkeys(nearest[:150], 1.0))

    left = strict.remove(nearest[40:90])

    assert left.thresholds == dict.fromkeys(nearest[:40] + nearest[90:150], 1.0)
    assert selected(left, search_scored(left, video, 5), 5, 0.0) == nearest[150:155]


def test_the_windows_of_a_film_are_searched_together_and_only_those_go_on_that_must() -> None:
    index, windows = index_of(200), unit(40, 1)
    lax = index.with_thresholds(dict.fromkeys(NAMES[:30], 1.0))

    search_windows(lax, windows, 5)

    assert index.asked == [48]

    near_first = {hit.name for hit in LabelIndex.search(index, windows[:1], 46)[0]}
    hard_for_first = index.with_thresholds(dict.fromkeys(near_first, 1.0))
    index.asked.clear()

    found = search_windows(hard_for_first, windows, 5)

    assert index.asked[:2] == [48, 96]
    assert len(index.asked) < 20
    assert len([hit for hit in found[0] if hit.name not in near_first]) == 5


def test_an_embedding_of_nan_has_no_hits() -> None:
    found = search_scored(index_of(50), np.full((1, DIM), np.nan, np.float32), 5)
    assert list(found.hits) == []
