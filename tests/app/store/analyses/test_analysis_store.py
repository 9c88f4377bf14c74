"""Analyses in SQLite and PostgreSQL: stored as they were, listed, deleted for good."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from app.store.analyses import AnalysisStore, VideoFilter, VideoNotFound
from app.store.analyses.tables import AnalysisRow
from app.store.database import migrate, open_engine, writing
from tests.support.analyses import SPACE, analysis_of

DAY = timedelta(days=1)
RED = analysis_of(["red", "red", "blue"])
GREEN = analysis_of(["green"])


@pytest.fixture
def store(migrated_url: str) -> Iterator[AnalysisStore]:
    engine = open_engine(migrated_url)
    migrate(engine)
    yield AnalysisStore(engine)
    engine.dispose()


def kept_shas(store: AnalysisStore, wanted: VideoFilter | None = None) -> list[str]:
    return [each.sha256 for each in store.page(wanted or VideoFilter())]


def age(store: AnalysisStore, sha256: str, by: timedelta) -> None:
    with writing(store.engine) as connection:
        connection.execute(
            update(AnalysisRow)
            .where(AnalysisRow.sha256 == sha256)
            .values(kept_at=datetime.now(UTC) - by)
        )


def test_an_analysis_is_read_as_it_was_kept(store: AnalysisStore) -> None:
    store.keep(RED)

    found = store.get(RED.sha256, SPACE)

    assert found is not None
    np.testing.assert_array_equal(found.windows.embeddings, RED.windows.embeddings)
    np.testing.assert_array_equal(found.whole.embedding, RED.whole.embedding)
    assert replace(found.whole, embedding=RED.whole.embedding).video == RED.video
    assert found.windows.plan == RED.windows.plan
    assert found.windows.timestamps == RED.windows.timestamps
    assert found.windows.warnings == RED.windows.warnings
    assert found.whole.warnings == RED.whole.warnings


def test_a_video_kept_again_replaces_its_analysis_by_the_same_checkpoint_only(
    store: AnalysisStore,
) -> None:
    store.keep(RED, metadata={"take": "1"})
    store.keep(replace(RED, video_space="older"))
    store.keep(RED, metadata={"take": "2"})

    kept = store.of_video(RED.sha256)

    assert [(each.video_space, dict(each.metadata)) for each in kept] == [
        (SPACE, {"take": "2"}),
        ("older", {}),
    ]
    assert store.get(RED.sha256, "newer") is None


def test_filters_select_by_time_duration_label_set_and_metadata(store: AnalysisStore) -> None:
    store.keep(RED, label_set="sports", metadata={"camera": "north", "floor": "1"})
    store.keep(GREEN, metadata={"camera": "south"})
    now = datetime.now(UTC)

    selected = {
        "all": kept_shas(store),
        "north": kept_shas(store, VideoFilter(metadata={"camera": "north", "floor": "1"})),
        "no such floor": kept_shas(store, VideoFilter(metadata={"floor": "2"})),
        "long": kept_shas(store, VideoFilter(min_duration=6.0)),
        "short": kept_shas(store, VideoFilter(max_duration=2.0)),
        "sports": kept_shas(store, VideoFilter(label_set="sports")),
        "later": kept_shas(store, VideoFilter(kept_after=now + DAY)),
        "before": kept_shas(store, VideoFilter(kept_before=now + DAY)),
    }

    assert selected == {
        "all": [GREEN.sha256, RED.sha256],
        "north": [RED.sha256],
        "no such floor": [],
        "long": [RED.sha256],
        "short": [GREEN.sha256],
        "sports": [RED.sha256],
        "later": [],
        "before": [GREEN.sha256, RED.sha256],
    }


def test_pages_continue_where_the_last_one_ended_while_videos_are_kept(
    store: AnalysisStore,
) -> None:
    videos = [analysis_of(["red"], name=str(number)) for number in range(5)]
    for each in videos[:4]:
        store.keep(each)

    first = store.page(VideoFilter(), limit=2)
    store.keep(videos[4])
    rest = store.page(VideoFilter(), before=first[-1].id, limit=10)

    assert [each.sha256 for each in (*first, *rest)] == [v.sha256 for v in reversed(videos[:4])]


def test_retention_deletes_the_old_and_then_the_oldest_over_the_size(store: AnalysisStore) -> None:
    videos = [analysis_of(["red"], name=str(number)) for number in range(4)]
    for days, each in zip((9, 3, 2, 1), videos, strict=True):
        store.keep(each)
        age(store, each.sha256, days * DAY)
    size = store.of_video(videos[0].sha256)[0].size_bytes

    assert store.remove_old(5 * DAY, 2 * size) == 2
    assert kept_shas(store) == [videos[3].sha256, videos[2].sha256]
    assert store.remove_old(5 * DAY, 2 * size) == 0


def test_a_deleted_video_is_gone(store: AnalysisStore) -> None:
    store.keep(RED)
    store.keep(replace(RED, video_space="older"))

    assert store.remove(RED.sha256) == 2
    with pytest.raises(VideoNotFound):
        store.of_video(RED.sha256)
    with pytest.raises(VideoNotFound):
        store.remove(RED.sha256)


def test_no_byte_of_a_deleted_analysis_stays_in_sqlites_files(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'labels.sqlite'}")
    migrate(engine)
    store = AnalysisStore(engine)
    rows = np.random.default_rng(0).standard_normal((200, 64)).astype(np.float16)
    secret = rows.tobytes()[:4096]
    windows = replace(RED.windows, embeddings=rows.astype(np.float32))
    store.keep(replace(RED, windows=windows))

    def is_on_disk() -> bool:
        # SQLite splits a blob into pages: look for a part that lies within one
        parts = [secret[start : start + 64] for start in range(0, len(secret), 64)]
        contents = [path.read_bytes() for path in tmp_path.iterdir()]
        return any(part in content for part in parts for content in contents)

    assert is_on_disk()
    store.remove(RED.sha256)
    assert not is_on_disk()
    engine.dispose()
