"""Search over kept windows: the spans, their order, pages and filters, and the index behind it."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from app.archive.search import ArchiveSearch, Found, SpanQuery
from app.archive.window_index import MIN_SAVED, WindowIndex
from app.question import Analysis
from app.store.analyses import AnalysisStore, KeptVideo, VideoFilter
from app.store.analyses.writes import keep
from app.store.database import migrate, open_engine, writing
from model import (
    Calibration,
    CalibrationConfig,
    Label,
    Prototypes,
    Tagger,
    VideoRanking,
    WindowPlan,
)
from tests.support.analyses import SPACE, analysis_of
from tests.support.fakes import colour_tagger

TAGGER = colour_tagger()
RED_BLUE = analysis_of(["red", "red", "blue"])
GREEN_BLUE = analysis_of(["green", "blue"])


def typical() -> list[Prototypes]:
    return TAGGER.prototypes([Label(name) for name in ("red", "green", "blue")])


def index_of(
    store: AnalysisStore, cache: Path | None = None, tagger: Tagger = TAGGER
) -> WindowIndex:
    return WindowIndex(store, SPACE, 3, VideoRanking(tagger.calibration), typical, cache)


@pytest.fixture
def store(migrated_url: str) -> Iterator[AnalysisStore]:
    engine = open_engine(migrated_url)
    migrate(engine)
    yield AnalysisStore(engine)
    engine.dispose()


@pytest.fixture
def open_index(store: AnalysisStore, tmp_path: Path) -> Iterator[Callable[[], WindowIndex]]:
    """Opens an index as a starting process does; all share the folder for files."""
    opened: list[WindowIndex] = []

    def open_one() -> WindowIndex:
        opened.append(index_of(store, tmp_path / "cache"))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture
def search(store: AnalysisStore, open_index: Callable[[], WindowIndex]) -> ArchiveSearch:
    return ArchiveSearch(open_index(), store, TAGGER)


def query(text: str) -> SpanQuery:
    [prototypes] = TAGGER.prototypes([Label(text)])
    return SpanQuery(prototypes, min_score=0.5)


def spans(found: Found) -> list[tuple[str, float, float]]:
    return [(each.kept.sha256, each.start_seconds, each.end_seconds) for each in found.spans]


def test_windows_that_follow_each_other_are_one_span(
    store: AnalysisStore, search: ArchiveSearch
) -> None:
    store.keep(RED_BLUE)
    store.keep(GREEN_BLUE)

    assert spans(search.find(query("red"))) == [(RED_BLUE.sha256, 0.0, 4.0)]
    assert spans(search.find(query("blue"))) == [
        (GREEN_BLUE.sha256, 2.0, 4.0),
        (RED_BLUE.sha256, 4.0, 6.0),
    ]


def test_the_score_is_that_of_a_label_on_the_same_window(
    store: AnalysisStore, search: ArchiveSearch
) -> None:
    store.keep(RED_BLUE)
    index = TAGGER.index([Label("red")])
    tagging = TAGGER.segment_tagging(
        RED_BLUE.video, RED_BLUE.windows.plan, index, top_k=1, min_score=0.5
    )
    tagging.add(RED_BLUE.windows.embeddings)
    [segment] = tagging.finish().segments

    [span] = search.find(query("red")).spans

    assert (span.score, span.similarity) == (segment.tags[0].score, segment.tags[0].similarity)


def test_nothing_is_found_where_nothing_fits(store: AnalysisStore, search: ArchiveSearch) -> None:
    assert search.find(query("red")).unknown.score == 1.0
    store.keep(GREEN_BLUE)

    found = search.find(query("red"))

    assert found.spans == ()
    assert found.unknown.is_unknown


def test_among_many_videos_a_weak_fit_is_chance(
    store: AnalysisStore, search: ArchiveSearch
) -> None:
    window = np.array([[0.6, 0.8, 0.0]], np.float32)
    store.keep(_with_windows(window, "weak"))

    alone = search.find(query("red"))
    for number in range(20):
        store.keep(analysis_of(["blue"], name=str(number)))
    among_many = search.find(query("red"))

    assert among_many.spans == alone.spans
    assert not alone.unknown.is_unknown
    assert among_many.unknown.is_unknown


def test_a_search_sees_what_was_kept_and_deleted_before_it(
    store: AnalysisStore, search: ArchiveSearch
) -> None:
    store.keep(RED_BLUE)
    assert search.find(query("red")).spans
    store.keep(replace(GREEN_BLUE, sha256="0" * 64))
    store.keep(replace(RED_BLUE, windows=GREEN_BLUE.windows, whole=GREEN_BLUE.whole))

    assert search.find(query("red")).spans == ()
    assert len(search.find(query("green")).spans) == 2
    store.remove(RED_BLUE.sha256)
    assert spans(search.find(query("green"))) == [("0" * 64, 0.0, 2.0)]


def test_analyses_of_another_checkpoint_are_not_searched(
    store: AnalysisStore, search: ArchiveSearch
) -> None:
    store.keep(replace(RED_BLUE, video_space="older"))

    found = search.find(query("red"))

    assert (found.spans, found.videos) == ((), 0)


def test_filters_leave_out_videos(store: AnalysisStore, search: ArchiveSearch) -> None:
    store.keep(RED_BLUE, metadata={"camera": "north"})
    store.keep(GREEN_BLUE, metadata={"camera": "south"})
    asked = replace(query("blue"), wanted=VideoFilter(metadata={"camera": "north"}))

    found = search.find(asked)

    assert spans(found) == [(RED_BLUE.sha256, 4.0, 6.0)]
    assert found.videos == 1


@pytest.mark.parametrize("count", [150, 250])
def test_a_filter_gives_the_best_spans_of_few_and_of_many_videos(
    store: AnalysisStore, search: ArchiveSearch, count: int
) -> None:
    windows = _random_windows(600)
    for number in range(300):
        camera = "north" if number < count else "south"
        analysis = _with_windows(windows[2 * number : 2 * number + 2], str(number))
        store.keep(analysis, metadata={"camera": camera})
    wanted = VideoFilter(metadata={"camera": "north"})

    found = search.find(replace(query("green"), min_score=0.0, limit=20, wanted=wanted))

    best = np.sort(windows.reshape(300, 2, 3)[:count, :, 1].max(axis=1))[::-1][:20]
    np.testing.assert_allclose([each.similarity for each in found.spans], best, atol=1e-6)
    assert found.videos == count
    assert found.has_more


def test_a_filter_gives_the_best_spans_of_a_small_share_of_many_videos(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    migrate(engine)
    windows = _random_windows(1_800)
    with writing(engine) as connection:
        for number, window in enumerate(windows):
            metadata = {"camera": "north" if number % 8 == 0 else "south"}
            keep(connection, _with_windows(window[np.newaxis], str(number)), None, metadata)
    store = AnalysisStore(engine)
    index = index_of(store)
    search = ArchiveSearch(index, store, TAGGER)
    north = VideoFilter(metadata={"camera": "north"})
    asked = replace(query("green"), min_score=0.0, limit=100, wanted=north)

    pages = [search.find(asked)]
    while pages[-1].has_more:
        pages.append(search.find(replace(asked, after=pages[-1].spans[-1].key)))

    best = np.sort(windows[::8, 1])[::-1]
    found = [each.similarity for page in pages for each in page.spans]
    np.testing.assert_allclose(found, best, atol=1e-6)
    assert [page.videos for page in pages] == [225] * 3
    index.close()
    engine.dispose()


def test_pages_hold_every_span_once_although_videos_are_kept_between_them(
    store: AnalysisStore, search: ArchiveSearch
) -> None:
    for number in range(40):
        store.keep(analysis_of(["red", "blue", "red"], name=str(number)))
    asked = replace(query("red"), limit=7)
    pages = [search.find(asked)]
    store.keep(analysis_of(["red"], name="later"))
    while pages[-1].has_more:
        pages.append(search.find(replace(asked, after=pages[-1].spans[-1].key)))

    found = [span for page in pages for span in spans(page)]

    assert len(found) == len(set(found)) == 80
    keys = [each.key for page in pages for each in page.spans]
    assert keys == sorted(keys)


def test_the_best_windows_are_those_of_a_comparison_with_all(store: AnalysisStore) -> None:
    windows = _random_windows(600)
    for number in range(300):
        store.keep(_with_windows(windows[2 * number : 2 * number + 2], str(number)))
    index = index_of(store)
    search = ArchiveSearch(index, store, TAGGER)

    found = search.find(replace(query("green"), min_score=0.0, limit=20))

    best = np.sort(windows.reshape(300, 2, 3)[:, :, 1].max(axis=1))[::-1][:20]
    np.testing.assert_allclose([each.similarity for each in found.spans[:20]], best, atol=1e-6)
    index.close()


def test_windows_are_ordered_by_score_where_other_actions_fit_some_of_them_better(
    migrated_url: str,
) -> None:
    engine = open_engine(migrated_url)
    migrate(engine)
    store, tagger = CountingStore(engine), reference_tagger()
    for number, window in enumerate(_random_windows(300)):
        store.keep(_with_windows(window[np.newaxis], str(number)))
    index = index_of(store, tagger=tagger)
    [prototypes] = tagger.prototypes([Label("green")])

    everything = ArchiveSearch(index, store, tagger).find(SpanQuery(prototypes, limit=1_000))
    store.read = 0
    best = ArchiveSearch(index, store, tagger).find(SpanQuery(prototypes, limit=10))

    assert len(everything.spans) == 300
    assert best.spans == everything.spans[:10]
    assert [each.similarity for each in best.spans] != sorted(
        (each.similarity for each in everything.spans), reverse=True
    )[:10]
    assert store.read <= 32, "a search reads the videos that it returns, and few others"
    index.close()
    engine.dispose()


def test_a_file_of_other_reference_actions_is_not_used(
    store: AnalysisStore, open_index: Callable[[], WindowIndex], tmp_path: Path
) -> None:
    store.keep(_with_windows(_random_windows(MIN_SAVED), "many"))
    _save_index(open_index(), tmp_path)

    other = index_of(store, tmp_path / "cache", reference_tagger())

    assert other.get().saved is None
    other.close()


def test_the_index_is_read_from_its_file_and_brought_up_to_date(
    store: AnalysisStore, open_index: Callable[[], WindowIndex], tmp_path: Path
) -> None:
    many = np.tile(np.eye(3, dtype=np.float32), (MIN_SAVED // 3 + 1, 1))
    store.keep(_with_windows(many, "many"))
    _save_index(open_index(), tmp_path)
    store.keep(RED_BLUE)

    found = open_index().get()

    assert found.saved is not None
    assert len(found.index) == len(many) + 3


def test_a_deleted_analysis_does_not_stay_in_the_file(
    store: AnalysisStore, open_index: Callable[[], WindowIndex], tmp_path: Path
) -> None:
    many = _with_windows(np.tile(np.eye(3, dtype=np.float32), (MIN_SAVED // 3 + 1, 1)), "many")
    store.keep(many)
    _save_index(open_index(), tmp_path)

    store.remove(many.sha256)
    assert len(open_index().get().index) == 0

    assert list((tmp_path / "cache").glob("*.index")) == []


def test_an_analysis_that_is_deleted_during_a_merge_does_not_stay_in_the_file(
    store: AnalysisStore, tmp_path: Path
) -> None:
    many = _with_windows(np.tile(np.eye(3, dtype=np.float32), (MIN_SAVED // 3 + 1, 1)), "many")
    store.keep(many)
    is_merging = threading.Event()

    def typical_while_one_is_deleted() -> list[Prototypes]:
        store.remove(many.sha256)
        is_merging.set()
        return typical()

    ranking = VideoRanking(TAGGER.calibration)
    index = WindowIndex(store, SPACE, 3, ranking, typical_while_one_is_deleted, tmp_path / "cache")
    index.get()
    is_merging.wait()
    index.close()

    assert list((tmp_path / "cache").glob("*.index")) == []


def test_a_file_of_another_database_is_not_used(
    store: AnalysisStore, open_index: Callable[[], WindowIndex], tmp_path: Path
) -> None:
    store.keep(_with_windows(np.tile(np.eye(3, dtype=np.float32), (MIN_SAVED, 1)), "many"))
    _save_index(open_index(), tmp_path)
    engine = open_engine(f"sqlite:///{tmp_path / 'other.sqlite'}")
    migrate(engine)
    other = AnalysisStore(engine)
    other.keep(RED_BLUE)

    mixed = index_of(other, tmp_path / "cache")

    assert len(mixed.get().index) == 3
    mixed.close()
    engine.dispose()


class CountingStore(AnalysisStore):
    """A store that counts the analyses that are read by their ids."""

    read = 0

    def by_id(self, ids: Sequence[int]) -> dict[int, tuple[KeptVideo, Analysis]]:
        self.read += len(ids)
        return super().by_id(ids)


def reference_tagger() -> Tagger:
    """A tagger of colours with two reference actions, one of them near to green."""
    reference = np.array([[0.0, 0.8, 0.6], [1.0, 0.0, 0.0]], np.float32)
    config = CalibrationConfig(score_slope=10.0, score_bias=-5.0, reference_bias=-4.0)
    bank = _random_windows(50)
    return replace(TAGGER, calibration=Calibration(config, bank, reference))


def _random_windows(count: int) -> npt.NDArray[np.float32]:
    rows = np.random.default_rng(0).standard_normal((count, 3)).astype(np.float32)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    rounded: npt.NDArray[np.float32] = unit.astype(np.float16).astype(np.float32)
    return rounded


def _save_index(index: WindowIndex, folder: Path) -> None:
    index.get()
    while not list((folder / "cache").glob("*.index")):
        time.sleep(0.05)
    index.close()


def _with_windows(rows: npt.NDArray[np.float32], name: str) -> Analysis:
    analysis = analysis_of(["red"], name=name)
    plan = WindowPlan.over(
        2.0 * len(rows), window_seconds=2.0, stride_seconds=2.0, max_windows=len(rows)
    )
    windows = replace(analysis.windows, plan=plan, embeddings=rows)
    video = replace(analysis.video, duration_seconds=2.0 * len(rows))
    return replace(analysis, windows=windows, whole=replace(analysis.whole, video=video))
