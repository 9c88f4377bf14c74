"""Keeps the analyses of videos, and answers questions about them without the files."""

from dataclasses import replace
from functools import partial

from anyio import to_thread

from app.archive.alerts import Alerts
from app.archive.other_windows import AnalysisDiffers, other_windows
from app.errors import ServiceError
from app.observe.timings import stage
from app.question import Analysis, Classified, ClassifyRequest
from app.service import TaggingService
from app.store.analyses import AnalysisStore, KeptVideo, VideoFilter
from model import Tagger, WindowPlan


class AnalysisOutdated(ServiceError):
    """The video is kept, but only as another checkpoint saw it."""

    code = "analysis_outdated"


class KeptVideos:
    """The kept analyses of this service's checkpoint."""

    def __init__(
        self,
        store: AnalysisStore,
        service: TaggingService,
        tagger: Tagger,
        alerts: Alerts,
        *,
        max_windows: int,
    ) -> None:
        self._store = store
        self._service = service
        self._tagger = tagger
        self._alerts = alerts
        self._max_windows = max_windows

    async def keep(self, classified: Classified, request: ClassifyRequest, cause: str) -> bool:
        """Store the analysis of an answer, with the webhooks of the alerts that it raises.

        `cause` is the id of the job or request. Returns whether the answer has an analysis. Raises
        StoreUnavailable.
        """
        if classified.analysis is None:
            return False
        with stage("keep"):
            work = partial(self._keep, classified.analysis, classified, request, cause)
            await to_thread.run_sync(work)
        return True

    def _keep(
        self, analysis: Analysis, classified: Classified, request: ClassifyRequest, cause: str
    ) -> None:
        self._store.keep(
            analysis,
            label_set=classified.searched.name,
            metadata=request.metadata,
            webhooks=self._alerts.raised_by(analysis, cause),
        )

    async def analysis(self, sha256: str) -> Analysis:
        """Return this checkpoint's analysis. Raises VideoNotFound or AnalysisOutdated."""
        while True:
            found = await to_thread.run_sync(self._store.get, sha256, self._tagger.video_space)
            if found is not None:
                return found
            # usable if the video was kept since the first look
            if not self.is_usable(newest := await self.of_video(sha256)):
                raise AnalysisOutdated(
                    f"the video was analysed by checkpoint {newest.model_id} {newest.video_space}; "
                    "send it to /classify with keep=true to analyse it by this one"
                )

    async def classify(self, analysis: Analysis, request: ClassifyRequest) -> Classified:
        """Answer from an analysis, with other windows than the kept ones if its chunks allow.

        Raises AnalysisDiffers, VideoNotFound, and the errors of `TaggingService.classify_kept`.
        """
        fitted = await to_thread.run_sync(self._fitted, analysis, request)
        return await self._service.classify_kept(fitted, request)

    async def of_video(self, sha256: str) -> KeptVideo:
        """Return this checkpoint's analysis, or else the newest. Raises VideoNotFound."""
        found = await to_thread.run_sync(self._store.of_video, sha256)
        return next((each for each in found if self.is_usable(each)), found[0])

    async def page(self, wanted: VideoFilter, before: int | None, limit: int) -> list[KeptVideo]:
        """Return up to `limit` kept videos with ids under `before`, newest first."""
        read = partial(self._store.page, wanted, before=before, limit=limit)
        return await to_thread.run_sync(read)

    async def remove(self, sha256: str) -> int:
        """Delete all analyses of a video; return their number. Raises VideoNotFound."""
        return await to_thread.run_sync(self._store.remove, sha256)

    def is_usable(self, kept: KeptVideo) -> bool:
        """Whether this checkpoint made the analysis."""
        return kept.video_space == self._tagger.video_space

    def _fitted(self, analysis: Analysis, request: ClassifyRequest) -> Analysis:
        """Return the analysis with the windows of a request.

        Raises AnalysisDiffers, and VideoNotFound for a video that was deleted meanwhile.
        """
        if request.decode != analysis.decode:
            raise AnalysisDiffers(
                f"the video was kept with decode={analysis.decode}; to ask with "
                f"decode={request.decode}, send it to /classify again"
            )
        if request.granularity == "video":
            return analysis
        kept = analysis.windows.plan
        asked = (request.window_seconds, request.stride_seconds)
        if asked == (kept.window_seconds, kept.stride_seconds):
            return analysis
        plan = WindowPlan.over(
            analysis.video.duration_seconds,
            window_seconds=request.window_seconds,
            stride_seconds=request.stride_seconds,
            max_windows=self._max_windows,
        )
        # a long video was given a wider stride than requested
        if plan.windows == kept.windows:
            return analysis
        chunks = self._store.chunks(analysis.sha256, analysis.video_space)
        if chunks is None:
            self._store.of_video(analysis.sha256)
            raise AnalysisDiffers(
                f"the video was kept with windows of {kept.window_seconds:g} s every "
                f"{kept.stride_seconds:g} s, without chunks; to ask for others, "
                "send it to /classify again"
            )
        return replace(analysis, windows=other_windows(self._tagger, analysis, chunks, plan))
