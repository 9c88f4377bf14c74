"""Answers requests about videos and texts: from a sealed file to tags, without HTTP."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar, TypeVarTuple

import anyio
import numpy as np
import numpy.typing as npt
from anyio import to_thread

from app.decode.decode_pool import DecodePool, DecodeTimeout
from app.encode.batcher import Batcher
from app.errors import DeadlineExceeded
from app.labels.ad_hoc import AdHocLabels
from app.observe.timings import stage
from app.question import (
    Classified,
    ClassifyRequest,
    DecodeMode,
    EmbeddedVideo,
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
    Tag,
    Tagger,
    Unknown,
    VideoInfo,
    WindowBatch,
    WindowPlan,
    window_batches,
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
        pool: DecodePool,
        admission: Admission,
        batcher: Batcher,
    ) -> None:
        self._settings = settings
        self._tagger = tagger
        self._store = store
        self._pool = pool
        self._admission = admission
        self._ad_hoc = AdHocLabels(tagger)
        self._batcher = batcher

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
        is_whole = request.granularity == "video"
        seconds = request.timeout_seconds
        # each batch of windows has its own deadline; only the request's timeout limits their sum
        with _deadline(self._timeout(seconds) if is_whole else seconds):
            with stage("labels"):
                searched = await self._searched_labels(request)
            if is_whole:
                return await self._classify_whole(file, request, searched)
            return await self._classify_windows(file, request, searched, on_progress)

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
        with _deadline(self._timeout(timeout_seconds)):
            return await self._embed_whole(file, decode)

    async def embed_texts(
        self, texts: Sequence[str], timeout_seconds: float | None = None
    ) -> npt.NDArray[np.float32]:
        """Return (N, dim) float32 unit vectors: for each text, that of a label with this name.

        Waits for a permit, as a video does. Raises LabelError, Overloaded or DeadlineExceeded.
        """
        labels = [Label(text) for text in texts]
        with _deadline(self._timeout(timeout_seconds)):
            async with self._admission.permit():
                with stage("encode"):
                    made = await _in_thread(self._tagger.prototypes, labels)
        return np.concatenate([prototypes.vectors for prototypes in made])

    async def warm_up(self) -> None:
        """Embed black frames and load the default set's index, so that no request waits for it."""
        sampling, side = self._tagger.sampling, self._tagger.preprocess.short_side
        count = sampling.clips * sampling.frames_per_clip
        black = FrameBatch(np.zeros((count, side, side, 3), np.uint8), np.zeros(count))
        await self._embed([black])
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

    async def _classify_whole(
        self, file: SealedFile, request: ClassifyRequest, searched: SearchedLabels
    ) -> Classified:
        embedded = await self._embed_whole(file, request.decode)
        tags, unknown = await self._tag(embedded.embedding, request, searched)
        return Classified(
            video=embedded.video,
            warnings=embedded.warnings,
            tags=tags,
            segments=(),
            unknown=unknown,
            windows=None,
            searched=searched,
        )

    async def _classify_windows(
        self,
        file: SealedFile,
        request: ClassifyRequest,
        searched: SearchedLabels,
        on_progress: OnProgress | None,
    ) -> Classified:
        info = await self._probe(file, request)
        plan = WindowPlan.over(
            info.duration_seconds,
            window_seconds=request.window_seconds,
            stride_seconds=request.stride_seconds,
            max_windows=self._settings.max_windows,
        )
        tagging = self._tagger.segment_tagging(
            info,
            plan,
            searched.index,
            top_k=request.top_k,
            min_score=request.min_score,
            hysteresis=Hysteresis() if request.hysteresis else Hysteresis(keep_share=1.0),
        )
        warnings = [*info.warnings, *plan.warnings, *_mode_warnings(request.decode)]
        for batch in window_batches(plan, info, self._tagger.sampling):
            frames = await self._embed_windows(file, batch, request.decode)
            warnings += frames.warnings
            with stage("search"):
                latest = await _in_thread(tagging.add, frames.embeddings)
            if on_progress is not None:
                await on_progress(
                    Progress(batch.rows.stop, plan.count, info.duration_seconds, latest)
                )
        with stage("search"):
            found = await _in_thread(tagging.finish)
        return Classified(
            video=info,
            warnings=_distinct(warnings),
            tags=found.tags,
            segments=found.segments,
            unknown=found.unknown,
            windows=plan,
            searched=searched,
        )

    async def _probe(self, file: SealedFile, request: ClassifyRequest) -> VideoInfo:
        with _deadline(self._timeout(request.timeout_seconds)):
            async with self._admission.permit():
                with stage("decode"):
                    return await self._pool.probe(file.fd)

    async def _embed_whole(self, file: SealedFile, decode: DecodeMode) -> EmbeddedVideo:
        sampling = self._tagger.sampling
        if decode == "exact":
            sampling = replace(sampling, leeway=0.0)
        async with self._admission.permit():
            with stage("decode"):
                info, frames = await self._pool.sample(
                    file.fd,
                    sampling,
                    self._tagger.preprocess.short_side,
                    keyframes_only=decode == "keyframes",
                    threads=self._decode_threads(),
                )
            [embedding] = await self._embed([frames])
        warnings = [*info.warnings, *_mode_warnings(decode), *frames.warnings]
        return EmbeddedVideo(info, _distinct(warnings), embedding)

    async def _embed_windows(
        self, file: SealedFile, batch: WindowBatch, decode: DecodeMode
    ) -> "_EmbeddedWindows":
        """Decode and encode one batch of windows within `progress_timeout_seconds`."""
        with _deadline(self._settings.progress_timeout_seconds):
            async with self._admission.permit(is_started=True):
                with stage("decode"):
                    frames = await self._pool.decode(
                        file.fd,
                        batch.distinct_seconds,
                        self._tagger.preprocess.short_side,
                        keyframes_only=decode == "keyframes",
                        threads=self._decode_threads(),
                    )
                embeddings = await self._embed(batch.split(frames))
        return _EmbeddedWindows(embeddings, frames.warnings)

    def _decode_threads(self) -> int:
        """Return the number of decode threads: more than one only for a request without others."""
        return self._settings.decode_threads if self._admission.is_alone else 1

    async def _embed(self, windows: Sequence[FrameBatch]) -> npt.NDArray[np.float32]:
        with stage("encode"):
            return np.stack(await asyncio.gather(*map(self._batcher.embed, windows)))

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


@dataclass(frozen=True, slots=True, eq=False)
class _EmbeddedWindows:
    """(W, dim) float32 unit embeddings of a batch of windows, and warnings about its frames."""

    embeddings: npt.NDArray[np.float32]
    warnings: tuple[str, ...]


def _mode_warnings(decode: DecodeMode) -> tuple[str, ...]:
    if decode != "keyframes":
        return ()
    return ("decode=keyframes: keyframes stand for the frames after them, times are coarse",)


@contextmanager
def _deadline(seconds: float | None) -> Generator[None]:
    """Cancel the block after `seconds` (None: no limit) and raise DeadlineExceeded.

    A DecodeTimeout in the block becomes DeadlineExceeded too.
    """
    try:
        with anyio.fail_after(seconds):
            yield
    except (TimeoutError, DecodeTimeout) as error:
        within = "time" if seconds is None else f"{seconds:g} s"
        raise DeadlineExceeded(f"no answer within {within}") from error


async def _in_thread(work: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result:
    """Run `work` in a thread; cancelling discards the result, but the thread runs to its end.

    Until then the thread counts against the limit of threads.
    """
    return await asyncio.shield(asyncio.ensure_future(to_thread.run_sync(work, *arguments)))


def _distinct(warnings: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(warnings))
