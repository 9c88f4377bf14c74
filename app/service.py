"""One question about one video, from the sealed file to the answer. No HTTP in here."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar, TypeVarTuple

import anyio
import numpy as np
import numpy.typing as npt
from anyio import to_thread

from app.decode.decode_pool import DecodePool
from app.decode.worker_pool import DecodeTimeout
from app.encode.batcher import Batcher
from app.errors import DeadlineExceeded
from app.labels.ad_hoc import AdHocLabels
from app.observe.timings import stage
from app.question import (
    Classified,
    DecodeMode,
    EmbeddedVideo,
    OnProgress,
    Progress,
    Question,
    Vocabulary,
    WindowTags,
)
from app.settings import Settings
from app.store import (
    DEFAULT_SET,
    LabelSnapshot,
    LabelsNotReady,
    LabelStore,
    RevisionNotReached,
)
from app.timeline import draw_timeline
from app.upload.admission import Admission
from app.upload.buffer import SealedFile
from app.windows import cut, decode_windows, frame_times, mean_embedding, turns
from model import (
    FrameBatch,
    Hit,
    Label,
    Tag,
    Tagger,
)

# Labels kept of a window besides those asked for: a span outlives a dip below the first ranks.
_HYSTERESIS_DEPTH = 20
# Ranks of a window that can open a segment: a thousand windows of a million labels each would not
# fit in memory.
_MOST_RANKS = 100
# Every answer is read from the database: a revision that is not there in seconds never was.
_LONGEST_REVISION_WAIT_SECONDS = 5.0
_REVISION_POLL_SECONDS = 0.05

_Given = TypeVarTuple("_Given")
_Result = TypeVar("_Result")


class TaggingService:
    """Answers questions with parts that it is given."""

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
        question: Question,
        on_progress: OnProgress | None = None,
    ) -> Classified:
        """`on_progress` is told of every few windows that are done, with `segments` only.

        Raises a VideoError, LabelError, SetNotFound, RevisionNotReached, Overloaded or
        DeadlineExceeded.
        """
        is_whole = question.granularity == "video"
        asked = question.timeout_seconds
        # windows have a deadline each: only the caller can set one for all of them
        with _deadline(self._timeout(asked) if is_whole else asked):
            with stage("labels"):
                vocabulary = await self._vocabulary(question)
            if is_whole:
                return await self._classify_whole(file, question, vocabulary)
            return await self._classify_windows(file, question, vocabulary, on_progress)

    async def embed_video(
        self,
        file: SealedFile,
        timeout_seconds: float | None = None,
        *,
        decode: DecodeMode = "auto",
    ) -> EmbeddedVideo:
        """A whole video as one vector, taken as `classify` takes it.

        `timeout_seconds` may shorten the settings' deadline, never lengthen it. Raises a
        VideoError, Overloaded or DeadlineExceeded.
        """
        limit = self._timeout(timeout_seconds)
        with _deadline(limit):
            return await self._embed_whole(file, decode, limit)

    async def _embed_whole(
        self, file: SealedFile, decode: DecodeMode, limit: float
    ) -> EmbeddedVideo:
        sampling = self._tagger.sampling
        if decode == "exact":
            sampling = replace(sampling, leeway=0.0)
        async with self._admission.permit():
            with stage("decode"):
                info, batch = await self._pool.sample(
                    file.fd,
                    sampling,
                    self._tagger.preprocess.short_side,
                    keyframes_only=decode == "keyframes",
                    threads=self._decode_threads(),
                )
            embedding = await self._embed([batch])
        warnings = [*info.warnings, *_fast_mode(decode), *batch.warnings]
        return EmbeddedVideo(info, _once(warnings), embedding)

    async def embed_texts(
        self, texts: Sequence[str], timeout_seconds: float | None = None
    ) -> npt.NDArray[np.float32]:
        """The (N, dim) vectors that labels of these names are searched by.

        Waits for its turn as a video does. Raises LabelError, Overloaded or DeadlineExceeded.
        """
        limit = self._timeout(timeout_seconds)
        labels = [Label(text) for text in texts]
        with _deadline(limit):
            async with self._admission.permit():
                with stage("encode"):
                    made = await _in_thread(self._tagger.prototypes, labels)
        return np.concatenate([prototypes.vectors for prototypes in made])

    async def warm_up(self) -> None:
        """One inference on black frames, and the default set's index: no caller pays for them."""
        sampling, side = self._tagger.sampling, self._tagger.preprocess.short_side
        count = sampling.clips * sampling.frames_per_clip
        black = FrameBatch(np.zeros((count, side, side, 3), np.uint8), np.zeros(count))
        await self._embed([black])
        # while labels are embedded for a new checkpoint, requests with labels of their own work
        with suppress(LabelsNotReady):
            await to_thread.run_sync(self._store.snapshot, DEFAULT_SET)

    async def _vocabulary(self, question: Question) -> Vocabulary:
        if question.labels:
            index = await _in_thread(self._ad_hoc.index, question.labels)
            return Vocabulary(None, 0, index)
        snapshot = await self._snapshot(question)
        return Vocabulary(snapshot.set_name, snapshot.revision, snapshot.index, snapshot.thresholds)

    async def _snapshot(self, question: Question) -> LabelSnapshot:
        """Waits for the asked revision, at most half of the time that the caller has."""
        wait = min(_LONGEST_REVISION_WAIT_SECONDS, self._timeout(question.timeout_seconds) / 2)
        end = anyio.current_time() + wait
        look = partial(self._store.snapshot, question.label_set, min_revision=question.min_revision)
        while True:
            try:
                return await _in_thread(look)
            except RevisionNotReached:
                if anyio.current_time() >= end:
                    raise
            await anyio.sleep(_REVISION_POLL_SECONDS)

    async def _classify_whole(
        self,
        file: SealedFile,
        question: Question,
        vocabulary: Vocabulary,
    ) -> Classified:
        limit = self._timeout(question.timeout_seconds)
        embedded = await self._embed_whole(file, question.decode, limit)
        hits = await self._search(embedded.embedding, vocabulary, question)
        return Classified(
            video=embedded.video,
            warnings=embedded.warnings,
            tags=_reported(self._tagger.tags(hits), question, vocabulary),
            segments=(),
            unknown=self._tagger.unknown(hits, len(vocabulary.index)),
            windows=None,
            vocabulary=vocabulary,
        )

    def _timeout(self, asked_seconds: float | None) -> float:
        longest = self._settings.request_timeout_seconds
        return longest if asked_seconds is None else min(longest, asked_seconds)

    async def _classify_windows(
        self,
        file: SealedFile,
        question: Question,
        vocabulary: Vocabulary,
        on_progress: OnProgress | None,
    ) -> Classified:
        limit = self._timeout(question.timeout_seconds)
        with _deadline(limit):
            async with self._admission.permit():
                with stage("decode"):
                    info = await self._pool.probe(file.fd)
        windows, plan, odd = cut(info, question, self._settings.max_windows)
        warnings = [*info.warnings, *odd, *_fast_mode(question.decode)]
        embeddings = np.empty((len(windows), self._tagger.encoder.dim), np.float32)
        window_tags: list[list[Tag]] = []
        times = frame_times(windows, info, self._tagger.sampling)
        for turn in turns(times):
            batches = await self._decode_and_embed(file, times[turn], question, embeddings[turn])
            warnings += [warning for batch in batches for warning in batch.warnings]
            latest = await self._window_tags(embeddings[turn], question, vocabulary)
            window_tags += latest
            if on_progress is not None:
                told = [
                    WindowTags(w.start_seconds, w.end_seconds, _reported(t, question, vocabulary))
                    for w, t in zip(windows[turn], latest, strict=True)
                ]
                await on_progress(
                    Progress(turn.stop, len(windows), info.duration_seconds, tuple(told))
                )
        hits = await self._search(mean_embedding(embeddings), vocabulary, question)
        timeline = draw_timeline(
            windows,
            window_tags,
            top_k=question.top_k,
            min_score=question.min_score,
            thresholds=vocabulary.thresholds,
            duration_seconds=info.duration_seconds,
        )
        return Classified(
            video=info,
            warnings=_once(warnings),
            tags=tuple(
                replace(tag, duration_ratio=timeline.duration_ratios.get(tag.label, 0.0))
                for tag in _reported(self._tagger.tags(hits), question, vocabulary)
            ),
            segments=timeline.segments,
            unknown=self._tagger.unknown(hits, len(vocabulary.index)),
            windows=plan,
            vocabulary=vocabulary,
        )

    async def _decode_and_embed(
        self,
        file: SealedFile,
        times: npt.NDArray[np.float64],
        question: Question,
        into: npt.NDArray[np.float32],
    ) -> list[FrameBatch]:
        """The frames of one turn's windows, with their embeddings written into `into`."""
        with _deadline(self._settings.progress_timeout_seconds):
            async with self._admission.permit(is_started=True):
                with stage("decode"):
                    batches = await decode_windows(
                        self._pool,
                        file,
                        times,
                        self._tagger.preprocess.short_side,
                        keyframes_only=question.decode == "keyframes",
                        threads=self._decode_threads(),
                    )
                into[:] = await self._embed(batches)
        return batches

    def _decode_threads(self) -> int:
        """For a lone video all processors; beside others, which keep them busy, one."""
        return self._settings.decode_threads if self._admission.is_alone else 1

    async def _embed(self, batches: Sequence[FrameBatch]) -> npt.NDArray[np.float32]:
        with stage("encode"):
            return np.stack(await asyncio.gather(*map(self._batcher.embed, batches)))

    async def _search(
        self,
        embedding: npt.NDArray[np.float32],
        vocabulary: Vocabulary,
        question: Question,
    ) -> list[Hit]:
        search = partial(
            vocabulary.search,
            embedding,
            question.top_k,
            question.min_score,
            self._tagger.calibration.score,
        )
        with stage("search"):
            if vocabulary.is_searched_at_once(question.top_k):
                return search()
            return await _in_thread(search)

    async def _window_tags(
        self,
        embeddings: npt.NDArray[np.float32],
        question: Question,
        vocabulary: Vocabulary,
    ) -> list[list[Tag]]:
        ranks = min(question.top_k, _MOST_RANKS) + _HYSTERESIS_DEPTH
        score = self._tagger.calibration.score
        with stage("search"):
            found = await _in_thread(
                vocabulary.search_windows, embeddings, ranks, question.min_score, score
            )
        return [list(self._tagger.tags(hits)) for hits in found]


def _reported(tags: Sequence[Tag], question: Question, vocabulary: Vocabulary) -> tuple[Tag, ...]:
    allowed = [tag for tag in tags if vocabulary.allows(tag, question.min_score)]
    return tuple(
        tag if tag.rank == rank else replace(tag, rank=rank)
        for rank, tag in enumerate(allowed[: question.top_k], start=1)
    )


def _fast_mode(decode: DecodeMode) -> tuple[str, ...]:
    if decode != "keyframes":
        return ()
    return ("decode=keyframes: keyframes stand for the frames after them, times are coarse",)


@contextmanager
def _deadline(seconds: float | None) -> Generator[None]:
    """Cancels the block when the time is over, and raises DeadlineExceeded."""
    try:
        with anyio.fail_after(seconds):
            yield
    except (TimeoutError, DecodeTimeout) as error:
        within = "time" if seconds is None else f"{seconds:g} s"
        raise DeadlineExceeded(f"no answer within {within}") from error


async def _in_thread(work: Callable[[*_Given], _Result], *given: *_Given) -> _Result:
    """What the work gives. Whoever is cancelled or late leaves at once, and the thread goes on to
    its end: it counts among the threads till then, so that nobody can have ever more of them.
    """
    return await asyncio.shield(asyncio.ensure_future(to_thread.run_sync(work, *given)))


def _once(warnings: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(warnings))
