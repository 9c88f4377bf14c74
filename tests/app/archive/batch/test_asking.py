"""An archive is searched without a service, and imported into one: the answers are the same."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.archive.batch.folder import ArchiveFolder
from app.archive.batch.importing import Imported, import_archive
from app.archive.batch.rows import row_of_analysis, row_of_error
from app.archive.batch.search import FoundInArchive, search_archive
from app.archive.search import ArchiveSearch, SpanQuery
from app.archive.window_index import WindowIndex
from app.labels.ad_hoc import AdHocLabels
from app.store.analyses import AnalysisStore, VideoFilter
from app.store.database import migrate, open_engine
from benchmarks.archive.tag_colours import folder_of
from model import VideoRanking
from tests.support.analyses import analysis_of
from tests.support.archives import analysed, write_videos
from tests.support.fakes import colour_tagger


@pytest.fixture
def store(migrated_url: str) -> Iterator[AnalysisStore]:
    engine = open_engine(migrated_url)
    migrate(engine)
    yield AnalysisStore(engine)
    engine.dispose()


def ignore(done: int, total: int) -> None: ...


def search(folder: ArchiveFolder, *texts: str, limit: int = 10) -> list[FoundInArchive]:
    return search_archive(folder, texts, colour_tagger(), limit=limit, min_score=0.0, report=ignore)


def spans(found: FoundInArchive) -> list[tuple[str, float, float, float]]:
    return [
        (name, span.start_seconds, span.end_seconds, round(span.score, 6))
        for name, span in zip(found.sha256s, found.page.spans, strict=True)
    ]


def test_a_search_of_the_archive_is_a_search_of_the_service(
    tmp_path: Path, store: AnalysisStore
) -> None:
    random = np.random.default_rng(0)
    folder = folder_of(str(tmp_path / "out"))
    for number in range(70):
        colours = random.choice(["red", "green", "blue"], random.integers(1, 6)).tolist()
        folder.write_analysis(row_of_analysis(analysis_of(colours, name=str(number))))
        if number == 50:
            folder.pack(folder.known())
    folder.write_analysis(row_of_error("e" * 64, "corrupt", "", folder.options()))
    tagger = colour_tagger()
    ranking = VideoRanking(tagger.calibration)
    index = WindowIndex(store, tagger.video_space, 3, ranking, list)

    red, blue = search(folder, "red", "blue", limit=1_000)
    imported = import_archive(folder, store, ignore)
    query = SpanQuery(AdHocLabels(tagger).prototypes("red"), limit=1_000)
    served = ArchiveSearch(index, store, tagger).find(query)
    index.close()

    assert imported == Imported(70, 0, 1)
    assert red.videos == served.videos == 70
    assert red.page.unknown == served.unknown
    assert [span.score for span in red.page.spans] == [span.score for span in served.spans]
    assert sorted(spans(red)) == sorted(
        (each.kept.sha256, each.start_seconds, each.end_seconds, round(each.score, 6))
        for each in served.spans
    )
    assert spans(blue) != spans(red)
    assert len(search(folder, "red", limit=3)[0].page.spans) == 3


def test_words_are_found_in_the_file_that_shows_them(tmp_path: Path) -> None:
    videos = write_videos(tmp_path / "videos", one=["red"] * 3 + ["blue"] * 3, two=["green"])
    folder = analysed(videos, tmp_path / "out")

    [found] = search(folder, "blue", limit=1)

    assert folder.paths_of(found.sha256s)[found.sha256s[0]] == str(videos / "one.mp4")
    assert found.page.spans[0].end_seconds == pytest.approx(6, abs=0.2)
    assert not found.page.unknown.is_unknown


def test_an_empty_archive_has_no_spans(tmp_path: Path) -> None:
    [found] = search(folder_of(str(tmp_path)), "red")

    assert (found.page.spans, found.videos) == ((), 0)


def test_an_import_adds_what_is_missing_and_names_the_files(
    tmp_path: Path, store: AnalysisStore
) -> None:
    videos = write_videos(tmp_path / "videos", one=["red"])
    folder = analysed(videos, tmp_path / "out")

    first = import_archive(folder, store, ignore)
    write_videos(videos, two=["blue"])
    analysed(videos, tmp_path / "out")
    second = import_archive(folder, store, ignore)

    assert (first, second) == (Imported(1, 0, 0), Imported(1, 1, 0))
    assert [each.metadata for each in store.page(VideoFilter())] == [
        {"path": str(videos / name)} for name in ("two.mp4", "one.mp4")
    ]
