"""Finds words in an archive without a service: one pass over its files for all texts."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from app.archive.batch.folder import ArchiveFolder
from app.archive.batch.rows import analyses_in
from app.archive.spans import Span, Spans, SpanSearch, Wanted
from app.labels.ad_hoc import AdHocLabels
from model import RankedWindows, Tagger, VideoQuery, VideoRanking

_NOT_SEARCHED = -np.inf
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class FoundInArchive:
    """The spans that show one text; `sha256s` has the video of each."""

    text: str
    page: Spans
    sha256s: tuple[str, ...]
    videos: int


@dataclass(frozen=True, slots=True)
class _Compared:
    """The best value of each video for each text, (texts, N), and where each row is.

    A video's id is its place; `starts` has the first id of each group of files.
    """

    groups: list[list[str]]
    starts: list[int]
    best: npt.NDArray[np.float32]


def search_archive(
    folder: ArchiveFolder,
    texts: Sequence[str],
    tagger: Tagger,
    *,
    limit: int,
    min_score: float,
    report: Report,
) -> list[FoundInArchive]:
    """Return the best spans for each text. Memory: 4 bytes for each video and text.

    `report` is called with the numbers of groups of files that were read, and of all. Raises
    LabelError.
    """
    labels = AdHocLabels(tagger)
    prototypes = [labels.prototypes(text) for text in texts]
    search, found = SpanSearch(tagger), []
    queries = [search.query(each) for each in prototypes]
    ranking = VideoRanking(tagger.calibration)
    compared = _compare(folder, queries, ranking, report)
    for text, each, best in zip(texts, prototypes, compared.best, strict=True):
        reader, videos = _Reader(folder, compared, ranking), int((best > _NOT_SEARCHED).sum())
        wanted = Wanted(each, videos, min_score, limit)
        page = search.find(wanted, _Ranked(best), reader.read)
        names = tuple(reader.sha256s[span.id] for span in page.spans)
        found.append(FoundInArchive(text, page, names, videos))
    return found


def spans_of(found: FoundInArchive) -> Iterator[tuple[str, Span]]:
    """Yield the video's SHA-256 and the span of each result."""
    return zip(found.sha256s, found.page.spans, strict=True)


def _compare(
    folder: ArchiveFolder, queries: Sequence[VideoQuery], ranking: VideoRanking, report: Report
) -> _Compared:
    groups, starts, best = folder.groups(), [0], []
    vectors = np.array([query.vector for query in queries])
    report(0, len(groups))
    for done, rows in enumerate(folder.all_rows(groups, ["code", "windows", "window_count"]), 1):
        best.append(_best_of(rows, vectors, ranking))
        starts.append(starts[-1] + len(rows))
        report(done, len(groups))
    empty = np.empty((len(queries), 0), np.float32)
    return _Compared(groups, starts[:-1], np.concatenate([empty, *best], axis=1))


def _best_of(
    rows: pa.Table, vectors: npt.NDArray[np.float32], ranking: VideoRanking
) -> npt.NDArray[np.float32]:
    """Return the highest value of each row's windows for each vector, (V, rows)."""
    best = np.full((len(vectors), len(rows)), _NOT_SEARCHED, np.float32)
    counts = rows["window_count"].fill_null(0).to_numpy()
    searched = np.flatnonzero(counts * rows["is_new"].to_numpy())
    if not len(searched):
        return best
    windows = rows["windows"].take(pa.array(searched)).to_pylist()
    matrix = np.frombuffer(b"".join(windows), "<f2").reshape(-1, vectors.shape[1])
    embeddings = matrix.astype(np.float32)
    level, spread = ranking.background(embeddings).T
    values = (vectors @ embeddings.T - level) / spread
    firsts = np.concatenate([[0], np.cumsum(counts[searched])[:-1]])
    best[:, searched] = np.maximum.reduceat(values, firsts, axis=1)
    return best


@dataclass(slots=True)
class _Ranked:
    """The RankedVideos of one text: `best` (N,) is the highest value of each video."""

    best: npt.NDArray[np.float32]
    order: npt.NDArray[np.intp] = field(init=False)
    returned: int = 0

    def __post_init__(self) -> None:
        order = np.argsort(-self.best, kind="stable")
        self.order = order[: int((self.best > _NOT_SEARCHED).sum())]

    @property
    def next_value(self) -> float | None:
        if self.returned >= len(self.order):
            return None
        return float(self.best[self.order[self.returned]])

    def next_videos(self, limit: int) -> list[int]:
        ids = self.order[self.returned : self.returned + limit]
        self.returned += len(ids)
        found: list[int] = ids.tolist()
        return found


@dataclass(slots=True)
class _Reader:
    """Reads the windows of ids, and remembers their SHA-256."""

    folder: ArchiveFolder
    compared: _Compared
    ranking: VideoRanking
    sha256s: dict[int, str] = field(default_factory=dict)

    def read(self, ids: Sequence[int]) -> Iterable[tuple[int, RankedWindows]]:
        for each in ids:
            group = bisect_right(self.compared.starts, each) - 1
            place = each - self.compared.starts[group]
            [analysis] = analyses_in(self.folder.read_rows(self.compared.groups[group], [place]))
            self.sha256s[each] = analysis.sha256
            windows = analysis.windows
            background = self.ranking.background(windows.embeddings)
            yield each, RankedWindows(windows.plan.windows, windows.embeddings, background)
