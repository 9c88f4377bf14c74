"""One question about one video, from the sealed file to the answer. No HTTP in here."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import anyio
import numpy as np
import numpy.typing as npt
from anyio import to_thread

from app.ad_hoc import AdHocLabels
from app.admission import Admission
from app.decode_pool import DecodePool, DecodeTimeout
from app.errors import DeadlineExceeded
from app.question import Classified, EmbeddedVideo, Question, Vocabulary, WindowPlan
from app.sealed_file import SealedFile
from app.settings import Settings
from app.store import LabelStore
from app.telemetry import Stopwatch
from app.timeline import Timeline, draw_timeline
from model import (
    FrameBatch,
    Hit,
    Tag,
    Tagger,
    VideoInfo,
    Window,
    clip_timestamps,
    plan_windows,
)

# Windows decoded and encoded in one turn: the frames of so many are in memory at once.
_WINDOWS_PER_TURN = 8
# Windows encoded at once: more saved no time on a CPU, and took 30 MB of memory each.
_WINDOWS_PER_ENCODING = 2
# Labels kept of a window besides those asked for: a span outlives a dip below the first ranks.
_HYSTERESIS_DEPTH = 20


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
    ) -> None:
        self._settings = settings
        self._tagger = tagger
        self._store = store
        self._pool = pool
        self._admission = admission
        self._ad_hoc = AdHocLabels(tagger)
        # the encoder uses every core by itself; two at once would only take turns
        self._encoding = anyio.CapacityLimiter(1)

    async def classify(
        self,
        file: SealedFile,
        question: Question,
        watch: Stopwatch,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Classified:
        """`on_progress` is told how many windows are done, and of how many.

        Raises a VideoError, LabelError, SetNotFound, Overloaded or DeadlineExceeded.
        """
        with watch.stage("labels"):
            vocabulary = await self._vocabulary(question)
        if question.granularity == "segments":
            return await self._classify_windows(file, question, vocabulary, watch, on_progress)
        return await self._classify_whole(file, question, vocabulary, watch)

    async def embed_video(
        self, file: SealedFile, watch: Stopwatch, timeout_seconds: float | None = None
    ) -> EmbeddedVideo:
        """A whole video as one vector, taken as `classify` takes it.

        `timeout_seconds` may shorten the settings' deadline, never lengthen it. Raises a
        VideoError, Overloaded or DeadlineExceeded.
        """
        sampling, short_side = self._tagger.sampling, self._tagger.preprocess.short_side
        with _deadline(self._timeout(timeout_seconds)) as deadline:
            async with self._admission.turn(watch):
                with watch.stage("decode"):
                    info, batch = await self._pool.sample(file.fd, sampling, short_side, deadline)
                embedding = await self._embed([batch], watch)
        return EmbeddedVideo(info, _once([*info.warnings, *batch.warnings]), embedding)

    async def warm_up(self) -> None:
        """One inference on black frames, so that no caller pays for what the first one costs."""
        sampling, side = self._tagger.sampling, self._tagger.preprocess.short_side
        count = sampling.clips * sampling.frames_per_clip
        black = FrameBatch(np.zeros((count, side, side, 3), np.uint8), np.zeros(count))
        await self._embed([black], Stopwatch())

    async def _vocabulary(self, question: Question) -> Vocabulary:
        if question.labels:
            index = await to_thread.run_sync(self._ad_hoc.index, question.labels)
            return Vocabulary(None, 0, index)
        snapshot = await to_thread.run_sync(self._store.snapshot, question.label_set)
        return Vocabulary(snapshot.set_name, snapshot.revision, snapshot.index, snapshot.thresholds)

    async def _classify_whole(
        self, file: SealedFile, question: Question, vocabulary: Vocabulary, watch: Stopwatch
    ) -> Classified:
        embedded = await self.embed_video(file, watch, question.timeout_seconds)
        hits = await self._search(embedded.embedding, vocabulary, question, watch)
        return Classified(
            video=embedded.video,
            warnings=embedded.warnings,
            tags=self._reported(hits, question, vocabulary),
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
        watch: Stopwatch,
        on_progress: Callable[[int, int], None],
    ) -> Classified:
        with _deadline(self._settings.request_timeout_seconds) as deadline:
            async with self._admission.turn(watch):
                with watch.stage("decode"):
                    info = await self._pool.probe(file.fd, deadline)
        windows, stride = plan_windows(
            info.duration_seconds,
            question.window_seconds,
            question.stride_seconds,
            self._settings.max_windows,
        )
        warnings = list(info.warnings)
        if stride > question.stride_seconds:
            warnings.append(f"stride widened to {stride:.3f} s: {len(windows)} windows at most")
        embeddings = np.empty((len(windows), self._tagger.encoder.dim), np.float32)
        for start in range(0, len(windows), _WINDOWS_PER_TURN):
            group = windows[start : start + _WINDOWS_PER_TURN]
            with _deadline(self._settings.progress_timeout_seconds) as deadline:
                async with self._admission.turn(watch, is_first=False):
                    with watch.stage("decode"):
                        batches = await self._decode_windows(file, info, group, deadline)
                    embeddings[start : start + len(group)] = await self._embed(batches, watch)
            warnings += [warning for batch in batches for warning in batch.warnings]
            on_progress(start + len(group), len(windows))
        hits = await self._search(_mean(embeddings), vocabulary, question, watch)
        with watch.stage("search"):
            timeline = await to_thread.run_sync(
                self._timeline, windows, embeddings, question, vocabulary, info.duration_seconds
            )
        return Classified(
            video=info,
            warnings=_once(warnings),
            tags=tuple(
                replace(tag, duration_ratio=timeline.duration_ratios.get(tag.label, 0.0))
                for tag in self._reported(hits, question, vocabulary)
            ),
            segments=timeline.segments,
            unknown=self._tagger.unknown(hits, len(vocabulary.index)),
            windows=WindowPlan(len(windows), question.window_seconds, stride),
            vocabulary=vocabulary,
        )

    async def _decode_windows(
        self, file: SealedFile, info: VideoInfo, windows: Sequence[Window], deadline: float
    ) -> list[FrameBatch]:
        """The frames of each window, in one trip to a decode process."""
        times = np.stack(
            [
                clip_timestamps(
                    window.start_seconds,
                    window.end_seconds,
                    info.frames_per_second,
                    self._tagger.sampling,
                ).ravel()
                for window in windows
            ]
        )
        batch = await self._pool.decode(
            file.fd, times.ravel(), self._tagger.preprocess.short_side, deadline
        )
        frames = batch.frames.reshape(*times.shape, *batch.frames.shape[1:])
        shown = batch.timestamps_seconds.reshape(times.shape)
        return [
            FrameBatch(frames[position], shown[position], batch.warnings)
            for position in range(len(windows))
        ]

    async def _embed(
        self, batches: Sequence[FrameBatch], watch: Stopwatch
    ) -> npt.NDArray[np.float32]:
        with watch.stage("encode"):
            parts = [
                await to_thread.run_sync(
                    self._tagger.embed_frames,
                    batches[start : start + _WINDOWS_PER_ENCODING],
                    limiter=self._encoding,
                )
                for start in range(0, len(batches), _WINDOWS_PER_ENCODING)
            ]
        return np.concatenate(parts)

    async def _search(
        self,
        embedding: npt.NDArray[np.float32],
        vocabulary: Vocabulary,
        question: Question,
        watch: Stopwatch,
    ) -> list[Hit]:
        # labels under a threshold of their own make room for the next ones
        depth = min(len(vocabulary.index), question.top_k + len(vocabulary.thresholds))
        with watch.stage("search"):
            return (await to_thread.run_sync(vocabulary.index.search, embedding, depth))[0]

    def _reported(
        self, hits: Sequence[Hit], question: Question, vocabulary: Vocabulary
    ) -> tuple[Tag, ...]:
        allowed = [
            tag for tag in self._tagger.tags(hits) if vocabulary.allows(tag, question.min_score)
        ]
        return tuple(
            replace(tag, rank=rank) for rank, tag in enumerate(allowed[: question.top_k], start=1)
        )

    def _timeline(
        self,
        windows: Sequence[Window],
        embeddings: npt.NDArray[np.float32],
        question: Question,
        vocabulary: Vocabulary,
        duration_seconds: float,
    ) -> Timeline:
        depth = min(len(vocabulary.index), question.top_k + _HYSTERESIS_DEPTH)
        return draw_timeline(
            windows,
            [self._tagger.tags(hits) for hits in vocabulary.index.search(embeddings, depth)],
            top_k=question.top_k,
            min_score=question.min_score,
            thresholds=vocabulary.thresholds,
            duration_seconds=duration_seconds,
        )


@contextmanager
def _deadline(seconds: float) -> Generator[float]:
    """Cancels the block when the time is over; gives the end on the event loop's clock."""
    try:
        with anyio.fail_after(seconds) as scope:
            yield scope.deadline
    except (TimeoutError, DecodeTimeout) as error:
        raise DeadlineExceeded(f"no answer within {seconds:g} s") from error


def _mean(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(W, dim) unit vectors to their mean, (1, dim), scaled to unit length."""
    mean: npt.NDArray[np.float32] = embeddings.mean(axis=0, keepdims=True)
    length = float(np.linalg.norm(mean))
    return mean / np.float32(length) if length else mean


def _once(warnings: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(warnings))
