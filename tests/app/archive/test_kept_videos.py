"""Reading kept analyses while other clients keep and delete them."""

from typing import cast

import pytest

from app.archive.alerts import Alerts
from app.archive.kept_videos import AnalysisOutdated, KeptVideos
from app.question import Analysis, ClassifyRequest
from app.service import TaggingService
from app.store.analyses import AnalysisStore, VideoNotFound
from app.store.database import migrate, open_engine
from app.store.jobs import AlertStore
from tests.support.analyses import analysis_of
from tests.support.fakes import colour_tagger

pytestmark = pytest.mark.anyio
TAGGER = colour_tagger()
RED = analysis_of(["red"], video_space=TAGGER.video_space)
OTHER = analysis_of(["red"], video_space="another")


class LateStore(AnalysisStore):
    """A store in which a video is kept just after it was looked for."""

    def get(self, sha256: str, video_space: str) -> Analysis | None:
        found = super().get(sha256, video_space)
        self.keep(RED)
        return found


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def videos_of(store: AnalysisStore) -> KeptVideos:
    service = cast("TaggingService", None)  # answers no question here
    alerts = Alerts(AlertStore(store.engine), TAGGER)
    return KeptVideos(store, service, TAGGER, alerts, max_windows=100)


@pytest.mark.parametrize("is_kept_by_another", [False, True])
async def test_a_video_that_is_kept_meanwhile_is_found(
    migrated_url: str, *, is_kept_by_another: bool
) -> None:
    engine = open_engine(migrated_url)
    migrate(engine)
    store = LateStore(engine)
    if is_kept_by_another:
        store.keep(OTHER)

    found = await videos_of(store).analysis(RED.sha256)

    assert found.video_space == TAGGER.video_space
    engine.dispose()


async def test_what_this_checkpoint_did_not_keep_is_not_found_or_outdated(
    migrated_url: str,
) -> None:
    engine = open_engine(migrated_url)
    migrate(engine)
    store = AnalysisStore(engine)
    videos = videos_of(store)

    with pytest.raises(VideoNotFound):
        await videos.analysis(RED.sha256)
    store.keep(OTHER)
    with pytest.raises(AnalysisOutdated, match="another"):
        await videos.analysis(RED.sha256)
    engine.dispose()


async def test_a_video_that_is_deleted_meanwhile_is_not_found(migrated_url: str) -> None:
    engine = open_engine(migrated_url)
    migrate(engine)
    store = AnalysisStore(engine)
    store.keep(RED)
    videos = videos_of(store)
    analysis = await videos.analysis(RED.sha256)
    store.remove(RED.sha256)

    # other windows than the kept ones are made of its chunks
    asked = ClassifyRequest("", (), 1, 0.0, "segments", 1.0, 1.0)
    with pytest.raises(VideoNotFound):
        await videos.classify(analysis, asked)
    engine.dispose()
