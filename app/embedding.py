"""Decodes and encodes sealed files: facts, the embedding of a whole video, features of chunks."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import anyio
import numpy as np
import numpy.typing as npt
from anyio import to_thread

from app.access.meter import charge_video
from app.decode.budget import VideoBudget
from app.decode.decode_pool import DecodePool, DecodeTimeout
from app.encode.batcher import Batcher
from app.errors import DeadlineExceeded
from app.observe.timings import stage
from app.question import (
    Analysis,
    DecodeMode,
    EmbeddedVideo,
    EmbeddedWindows,
    KeptChunks,
    Timestamps,
    distinct,
)
from app.settings import Settings
from app.upload.admission import Admission
from app.upload.buffer import SealedFile
from model import (
    ChunkBatch,
    FrameBatch,
    Tagger,
    VideoInfo,
    WindowMeans,
    WindowPlan,
    group_chunks,
)

# Called with the number of windows embedded so far, and the (W, dim) embeddings of the new ones.
EachWindows = Callable[[int, npt.NDArray[np.float32]], Awaitable[None]]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedChunks:
    """Some chunks of a video: (K, F) float32 features, and what their frames were.

    `timestamps_seconds` (F,) float64 are the times of the decoded frames.
    """

    features: npt.NDArray[np.float32]
    timestamps_seconds: npt.NDArray[np.float64]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _EncodedChunk:
    """The frames of a chunk, uint8 (T, H, W, 3), and its (F,) float32 features."""

    frames: npt.NDArray[np.uint8]
    features: npt.NDArray[np.float32]


class VideoEmbedder:
    """Turns videos into embeddings: waits for a permit, decodes in a worker, encodes in batches.

    Embeddings and features of chunks have values of float16 (in float32 arrays): what a kept
    analysis stores, so that an answer from the analysis has the digits of the answer to an upload.
    Deadlines are ambient.
    Methods raise a VideoError, Overloaded, QuotaExceeded or DeadlineExceeded.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        tagger: Tagger,
        pool: DecodePool,
        admission: Admission,
        batcher: Batcher,
    ) -> None:
        self._settings = settings
        self._tagger = tagger
        self._pool = pool
        self._admission = admission
        self._batcher = batcher
        self._last_chunks: WeakKeyDictionary[SealedFile, _EncodedChunk] = WeakKeyDictionary()
        self._budgets: WeakKeyDictionary[SealedFile, VideoBudget] = WeakKeyDictionary()

    async def probe(self, file: SealedFile) -> VideoInfo:
        """Return facts about the video."""
        async with self._admission.permit():
            with stage("decode"):
                info = await self._pool.probe(file.fd, budget=self._budget(file))
        await charge_video(file.sha256, info.duration_seconds)
        return info

    async def embed_whole(self, file: SealedFile, decode: DecodeMode) -> EmbeddedVideo:
        """Embed the whole video from frames over its whole length."""
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
                    budget=self._budget(file),
                )
            await charge_video(file.sha256, info.duration_seconds)
            embedding = await self.embed_frames(frames)
        warnings = [*info.warnings, *mode_warnings(decode), *frames.warnings]
        times = Timestamps.of(frames.timestamps_seconds)
        return EmbeddedVideo(info, distinct(warnings), embedding, times)

    async def encode_chunks(
        self, file: SealedFile, batch: ChunkBatch, group: int, decode: DecodeMode
    ) -> EncodedChunks:
        """Decode and encode a batch of chunks within the progress timeout.

        `group` is the plan's number of chunks to encode as one video.
        """
        with deadline(self._settings.progress_timeout_seconds):
            async with self._admission.permit():
                with stage("decode"):
                    frames = await self._pool.decode(
                        file.fd,
                        batch.distinct_seconds,
                        self._tagger.preprocess.short_side,
                        keyframes_only=decode == "keyframes",
                        threads=self._decode_threads(),
                        budget=self._budget(file),
                    )
                with stage("encode"):
                    features = await self._encode_distinct(file, batch.split(frames), group)
        return EncodedChunks(features, frames.timestamps_seconds, frames.warnings)

    def plan(self, info: VideoInfo, *, window_seconds: float, stride_seconds: float) -> WindowPlan:
        """Divide a video into windows; a long one gets a wider stride."""
        return WindowPlan.over(
            info.duration_seconds,
            window_seconds=window_seconds,
            stride_seconds=stride_seconds,
            max_windows=self._settings.max_windows,
        )

    async def embed_plan(
        self,
        file: SealedFile,
        info: VideoInfo,
        plan: WindowPlan,
        decode: DecodeMode,
        each: EachWindows | None = None,
        *,
        keep_chunks: bool = False,
    ) -> EmbeddedWindows:
        """Embed all windows of the plan, and call `each` after each batch of chunks.

        The result has the features of chunks with `keep_chunks` only: a film has megabytes of them.
        """
        warnings = [*info.warnings, *plan.warnings, *mode_warnings(decode)]
        embeddings, times, features, done = [], [], [], 0
        chunks = await to_thread.run_sync(self._tagger.chunks, plan, info)
        means = WindowMeans(chunks.rows)
        for batch in chunks.batches():
            encoded = await self.encode_chunks(file, batch, chunks.group, decode)
            warnings += encoded.warnings
            times.append(encoded.timestamps_seconds)
            if keep_chunks:
                features.append(encoded.features)
            whole = means.add(encoded.features)
            if not len(whole):
                continue
            with stage("encode"):
                embeddings.append(await self.embed_features(whole))
            done += len(whole)
            if each is not None:
                await each(done, embeddings[-1])
        return EmbeddedWindows(
            plan,
            distinct(warnings),
            np.concatenate(embeddings),
            Timestamps.of(np.concatenate(times)),
            KeptChunks.of(chunks.centres_seconds, np.concatenate(features))
            if keep_chunks
            else None,
        )

    async def analyse(
        self,
        file: SealedFile,
        *,
        window_seconds: float,
        stride_seconds: float,
        decode: DecodeMode = "auto",
    ) -> Analysis:
        """Embed the whole video and its windows: what `keep=true` keeps, without the chunks."""
        whole = await self.embed_whole(file, decode)
        plan = self.plan(whole.video, window_seconds=window_seconds, stride_seconds=stride_seconds)
        windows = await self.embed_plan(file, whole.video, plan, decode)
        return Analysis(
            file.sha256, self._tagger.model_id, self._tagger.video_space, decode, whole, windows
        )

    async def embed_frames(self, frames: FrameBatch) -> npt.NDArray[np.float32]:
        """Encode the frames of a whole video: (dim,) float32 unit."""
        with stage("encode"):
            features = await self._batcher.encode(frames.frames)
            rows = await self.embed_features(features.mean(axis=0, keepdims=True))
        embedding: npt.NDArray[np.float32] = rows[0]
        return embedding

    async def embed_features(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Embed W spans from their (W, F) float32 mean features: (W, dim) float32 unit."""
        return _as_stored(await to_thread.run_sync(self._tagger.embed_features, features))

    async def _encode_distinct(
        self, file: SealedFile, chunks: Sequence[npt.NDArray[np.uint8]], group: int
    ) -> npt.NDArray[np.float32]:
        """Encode chunks of one video; a chunk with the frames of the one before is not encoded.

        A file of few frames can claim hours of windows.
        """
        last = self._last_chunks.get(file)
        known = [] if last is None else [last]
        distinct = [chunk.frames for chunk in known]
        rows: list[int] = []
        for chunk in chunks:
            if not distinct or not _are_equal(distinct[-1], chunk):
                distinct.append(chunk)
            rows.append(len(distinct) - 1)
        groups = group_chunks(distinct[len(known) :], group)
        encoded = await asyncio.gather(*map(self._batcher.encode, groups))
        new = [_as_stored(features) for features in encoded]
        features = np.concatenate([*(chunk.features[np.newaxis] for chunk in known), *new])[rows]
        # A copy, because the worker's memory is for its next videos.
        self._last_chunks[file] = _EncodedChunk(distinct[-1].copy(), features[-1])
        return features

    def _budget(self, file: SealedFile) -> VideoBudget:
        """Return the budget that all decode jobs on this file share."""
        if file not in self._budgets:
            self._budgets[file] = self._pool.budget_of(file.fd)
        return self._budgets[file]

    def _decode_threads(self) -> int:
        """Return the number of decode threads: more than one only for a request without others."""
        return self._settings.decode_threads if self._admission.is_alone else 1


def _as_stored(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return vectors.astype(np.float16).astype(np.float32)


def _are_equal(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> bool:
    # Some rows first: most chunks differ in them.
    return np.array_equal(one[:, ::16], other[:, ::16]) and np.array_equal(one, other)


def mode_warnings(decode: DecodeMode) -> tuple[str, ...]:
    """Return the warnings that a decode mode adds to every answer."""
    if decode != "keyframes":
        return ()
    return ("decode=keyframes: keyframes stand for the frames after them, times are coarse",)


@contextmanager
def deadline(seconds: float | None) -> Generator[None]:
    """Cancel the block after `seconds` (None: no limit) and raise DeadlineExceeded.

    A DecodeTimeout in the block becomes DeadlineExceeded too.
    """
    try:
        with anyio.fail_after(seconds):
            yield
    except (TimeoutError, DecodeTimeout) as error:
        within = "time" if seconds is None else f"{seconds:g} s"
        raise DeadlineExceeded(f"no answer within {within}") from error
