"""Answers requests about videos and texts: from a sealed file to tags, without HTTP."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar, TypeVarTuple

import anyio
import numpy as np
import numpy.typing as npt
from anyio import to_thread

from app.embedding import VideoEmbedder, deadline
from app.labels.ad_hoc import AdHocLabels
from app.observe.timings import stage
from app.question import (
    Analysis,
    Classified,
    ClassifyRequest,
    DecodeMode,
    EmbeddedVideo,
    EmbeddedWindows,
    OnProgress,
    Progress,
    SearchedLabels,
)
from app.settings import Settings
from app.store import (
    DEFAULT_SET,
    LabelSnapshot,
    LabelsNotReady,
    LabelStore,
    RevisionNotReached,
)
from app.upload.admission import Admission
from app.upload.buffer import SealedFile
from model import (
    FrameBatch,
    Hysteresis,
    Label,
    SegmentTagging,
    Tag,
    TaggedSegments,
    Tagger,
    Unknown,
    VideoInfo,
    WindowPlan,
)

# Each attempt reads the database: a revision that it lacks for seconds was never written to it.
MAX_REVISION_WAIT_SECONDS = 5.0
_REVISION_POLL_SECONDS = 0.05

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class TaggingService:
    """Classifies and embeds videos, and embeds texts.

    Deadlines are ambient: waiting for permits, decoding and encoding stop at the deadline of the
    surrounding anyio scope.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        tagger: Tagger,
        store: LabelStore,
        embedder: VideoEmbedder,
        admission: Admission,
    ) -> None:
        self._settings = settings
        self._tagger = tagger
        self._store = store
        self._embedder = embedder
        self._admission = admission
        self._ad_hoc = AdHocLabels(tagger)

    async def classify(
        self,
        file: SealedFile,
        request: ClassifyRequest,
        on_progress: OnProgress | None = None,
    ) -> Classified:
        """Tag a video; with granularity `segments`, report each batch of windows to `on_progress`.

        Raises a VideoError, LabelError, SetNotFound, RevisionNotReached, Overloaded or
        DeadlineExceeded.
        """
        is_whole = request.granularity == "video" and not request.keep
        seconds = request.timeout_seconds
        # each batch of windows has its own deadline besides
        with deadline(self._timeout(seconds) if is_whole else self._segments_timeout(seconds)):
            with stage("labels"):
                searched = await self._searched_labels(request)
            classify = self._classify_and_keep if request.keep else self._classify_upload
            return await classify(file, request, searched, on_progress)

    async def classify_kept(self, analysis: Analysis, request: ClassifyRequest) -> Classified:
        """Answer from an analysis of this checkpoint, as `classify` does from the video.

        The request's windows and decode mode must be those of the analysis. Raises LabelError,
        SetNotFound, RevisionNotReached or DeadlineExceeded.
        """
        with deadline(self._timeout(request.timeout_seconds)):
            with stage("labels"):
                searched = await self._searched_labels(request)
            if request.granularity == "video":
                return await self._classify_whole(analysis.whole, request, searched)
            video, windows = analysis.video, analysis.windows
            tagging = self._segment_tagging(video, windows.plan, request, searched)
            with stage("search"):
                found = await _in_thread(self._tag_windows, tagging, video, windows)
            return _segmented(found, windows, searched)

    async def embed_video(
        self,
        file: SealedFile,
        timeout_seconds: float | None = None,
        *,
        decode: DecodeMode = "auto",
    ) -> EmbeddedVideo:
        """Embed a whole video, from the frames that `classify` uses.

        `timeout_seconds` can shorten the timeout of the settings, not extend it. Raises a
        VideoError, Overloaded or DeadlineExceeded.
        """
        with deadline(self._timeout(timeout_seconds)):
            return await self._embedder.embed_whole(file, decode)

    async def embed_texts(
        self, texts: Sequence[str], timeout_seconds: float | None = None
    ) -> npt.NDArray[np.float32]:
        """Return (N, dim) float32 unit vectors: for each text, that of a label with this name.

        Waits for a permit, as a video does. Raises LabelError, Overloaded or DeadlineExceeded.
        """
        labels = [Label(text) for text in texts]
        with deadline(self._timeout(timeout_seconds)):
            async with self._admission.permit():
                with stage("encode"):
                    made = await _in_thread(self._tagger.prototypes, labels)
        return np.concatenate([prototypes.vectors for prototypes in made])

    async def warm_up(self) -> None:
        """Embed black frames and load the default set's index, so that no request waits for it."""
        sampling, side = self._tagger.sampling, self._tagger.preprocess.short_side
        count = sampling.clips * sampling.frames_per_clip
        black = FrameBatch(np.zeros((count, side, side, 3), np.uint8), np.zeros(count))
        await self._embedder.embed_frames(black)
        # requests with their own labels work while stored labels are embedded for a new checkpoint
        with suppress(LabelsNotReady):
            await to_thread.run_sync(self._store.snapshot, DEFAULT_SET)

    async def _searched_labels(self, request: ClassifyRequest) -> SearchedLabels:
        if request.labels:
            return SearchedLabels(None, 0, await _in_thread(self._ad_hoc.index, request.labels))
        snapshot = await self._snapshot(request)
        return SearchedLabels(snapshot.set_name, snapshot.revision, snapshot.index)

    async def _snapshot(self, request: ClassifyRequest) -> LabelSnapshot:
        """Return the label set at `min_revision` or later.

        Waits for that revision up to MAX_REVISION_WAIT_SECONDS or half of the request's timeout.
        Raises RevisionNotReached.
        """
        wait = min(MAX_REVISION_WAIT_SECONDS, self._timeout(request.timeout_seconds) / 2)
        end = anyio.current_time() + wait
        read = partial(self._store.snapshot, request.label_set, min_revision=request.min_revision)
        while True:
            try:
                return await _in_thread(read)
            except RevisionNotReached:
                if anyio.current_time() >= end:
                    raise
            await anyio.sleep(_REVISION_POLL_SECONDS)

    async def _classify_upload(
        self,
        file: SealedFile,
        request: ClassifyRequest,
        searched: SearchedLabels,
        on_progress: OnProgress | None,
    ) -> Classified:
        if request.granularity == "video":
            whole = await self._embedder.embed_whole(file, request.decode)
            return await self._classify_whole(whole, request, searched)
        classified, _ = await self._classify_windows(file, request, searched, on_progress)
        return classified

    async def _classify_and_keep(
        self,
        file: SealedFile,
        request: ClassifyRequest,
        searched: SearchedLabels,
        on_progress: OnProgress | None,
    ) -> Classified:
        """Embed the whole video and its windows; answer one of them, keep both."""
        with deadline(self._timeout(request.timeout_seconds)):
            whole = await self._embedder.embed_whole(file, request.decode)
        if request.granularity == "video":
            classified = await self._classify_whole(whole, request, searched)
            windows = await self._embed_windows(file, request)
        else:
            classified, windows = await self._classify_windows(file, request, searched, on_progress)
        analysis = Analysis(
            file.sha256,
            self._tagger.model_id,
            self._tagger.video_space,
            request.decode,
            whole,
            windows,
        )
        return replace(classified, analysis=analysis)

    async def _classify_whole(
        self, whole: EmbeddedVideo, request: ClassifyRequest, searched: SearchedLabels
    ) -> Classified:
        tags, unknown = await self._tag(whole.embedding, request, searched)
        return Classified(
            video=whole.video,
            warnings=whole.warnings,
            tags=tags,
            segments=(),
            unknown=unknown,
            windows=None,
            searched=searched,
            timestamps=whole.timestamps,
        )

    async def _classify_windows(
        self,
        file: SealedFile,
        request: ClassifyRequest,
        searched: SearchedLabels,
        on_progress: OnProgress | None,
    ) -> tuple[Classified, EmbeddedWindows]:
        info, plan = await self._plan(file, request)
        tagging = self._segment_tagging(info, plan, request, searched)

        async def tag(done: int, embeddings: npt.NDArray[np.float32]) -> None:
            with stage("search"):
                latest = await _in_thread(tagging.add, embeddings)
            if on_progress is not None:
                await on_progress(Progress(done, plan.count, info.duration_seconds, latest))

        windows = await self._embedder.embed_plan(
            file, info, plan, request.decode, tag, keep_chunks=request.keep
        )
        with stage("search"):
            found = await _in_thread(tagging.finish)
        return _segmented(found, windows, searched), windows

    async def _embed_windows(self, file: SealedFile, request: ClassifyRequest) -> EmbeddedWindows:
        info, plan = await self._plan(file, request)
        return await self._embedder.embed_plan(
            file, info, plan, request.decode, keep_chunks=request.keep
        )

    async def _plan(
        self, file: SealedFile, request: ClassifyRequest
    ) -> tuple[VideoInfo, WindowPlan]:
        with deadline(self._timeout(request.timeout_seconds)):
            info = await self._embedder.probe(file)
        plan = self._embedder.plan(
            info, window_seconds=request.window_seconds, stride_seconds=request.stride_seconds
        )
        return info, plan

    def _tag_windows(
        self, tagging: SegmentTagging, video: VideoInfo, windows: EmbeddedWindows
    ) -> TaggedSegments:
        # in the batches of an upload: the last digit of a product depends on the number of rows
        for rows in self._tagger.chunks(windows.plan, video).window_batches():
            tagging.add(windows.embeddings[rows])
        return tagging.finish()

    def _segment_tagging(
        self,
        info: VideoInfo,
        plan: WindowPlan,
        request: ClassifyRequest,
        searched: SearchedLabels,
    ) -> SegmentTagging:
        return self._tagger.segment_tagging(
            info,
            plan,
            searched.index,
            top_k=request.top_k,
            min_score=request.min_score,
            hysteresis=Hysteresis() if request.hysteresis else Hysteresis(keep_share=1.0),
        )

    async def _tag(
        self,
        embedding: npt.NDArray[np.float32],
        request: ClassifyRequest,
        searched: SearchedLabels,
    ) -> tuple[tuple[Tag, ...], Unknown]:
        tag = partial(
            self._tagger.tag_embedding,
            embedding,
            searched.index,
            top_k=request.top_k,
            min_score=request.min_score,
        )
        with stage("search"):
            if searched.is_searched_inline(request.top_k):
                return tag()
            return await _in_thread(tag)

    def _timeout(self, seconds: float | None) -> float:
        longest = self._settings.request_timeout_seconds
        return longest if seconds is None else min(longest, seconds)

    def _segments_timeout(self, seconds: float | None) -> float:
        longest = self._settings.segments_timeout_seconds
        return longest if seconds is None else min(longest, seconds)


def _segmented(
    found: TaggedSegments, windows: EmbeddedWindows, searched: SearchedLabels
) -> Classified:
    return Classified(
        video=found.video,
        warnings=windows.warnings,
        tags=found.tags,
        segments=found.segments,
        unknown=found.unknown,
        windows=windows.plan,
        searched=searched,
        timestamps=windows.timestamps,
    )


async def _in_thread(work: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
    """Run `work` in a thread; cancelling discards the result, but the thread runs to its end.

    Until then the thread counts against the limit of threads.
    """
    return await asyncio.shield(asyncio.ensure_future(to_thread.run_sync(work, *arguments)))
