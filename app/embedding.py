"""Decodes and encodes sealed files: facts, the embedding of a whole video, those of its windows."""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import anyio
import numpy as np
import numpy.typing as npt

from app.access.meter import charge_video
from app.decode.budget import VideoBudget
from app.decode.decode_pool import DecodePool, DecodeTimeout
from app.encode.batcher import Batcher
from app.errors import DeadlineExceeded
from app.observe.timings import stage
from app.question import DecodeMode, EmbeddedVideo, Timestamps, distinct
from app.settings import Settings
from app.upload.admission import Admission
from app.upload.buffer import SealedFile
from model import FrameBatch, Tagger, VideoInfo, WindowBatch


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedBatch:
    """Some windows of a video: (W, dim) float32 unit embeddings, and what their frames were.

    `timestamps_seconds` (F,) float64 are the times of the decoded frames.
    """

    embeddings: npt.NDArray[np.float32]
    timestamps_seconds: npt.NDArray[np.float64]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _EmbeddedWindow:
    """The frames of a window, uint8 (T, H, W, 3), and its (dim,) float32 unit embedding."""

    frames: npt.NDArray[np.uint8]
    embedding: npt.NDArray[np.float32]


class VideoEmbedder:
    """Turns videos into embeddings: waits for a permit, decodes in a worker, encodes in batches.

    Every embedding has values of float16 (in a float32 array): what a kept analysis stores, so that
    an answer from the analysis has the digits of the answer to an upload. Deadlines are ambient.
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
        self._last_windows: WeakKeyDictionary[SealedFile, _EmbeddedWindow] = WeakKeyDictionary()
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
            [embedding] = await self.embed_frames([frames])
        warnings = [*info.warnings, *mode_warnings(decode), *frames.warnings]
        times = Timestamps.of(frames.timestamps_seconds)
        return EmbeddedVideo(info, distinct(warnings), embedding, times)

    async def embed_batch(
        self, file: SealedFile, batch: WindowBatch, decode: DecodeMode
    ) -> EmbeddedBatch:
        """Decode and encode one batch of windows within `progress_timeout_seconds`."""
        with deadline(self._settings.progress_timeout_seconds):
            async with self._admission.permit(is_started=True):
                with stage("decode"):
                    frames = await self._pool.decode(
                        file.fd,
                        batch.distinct_seconds,
                        self._tagger.preprocess.short_side,
                        keyframes_only=decode == "keyframes",
                        threads=self._decode_threads(),
                        budget=self._budget(file),
                    )
                embeddings = await self._embed_windows(file, batch.split(frames))
        return EmbeddedBatch(embeddings, frames.timestamps_seconds, frames.warnings)

    async def embed_frames(self, windows: Sequence[FrameBatch]) -> npt.NDArray[np.float32]:
        """Encode the frames of W windows: (W, dim) float32 unit."""
        with stage("encode"):
            rows = np.stack(await asyncio.gather(*map(self._batcher.embed, windows)))
        return rows.astype(np.float16).astype(np.float32)

    async def _embed_windows(
        self, file: SealedFile, windows: Sequence[FrameBatch]
    ) -> npt.NDArray[np.float32]:
        """Encode windows of one video; a window with the frames of the one before is not encoded.

        A file of few frames can claim hours of windows.
        """
        last = self._last_windows.get(file)
        known = [] if last is None else [last]
        distinct = [window.frames for window in known]
        rows: list[int] = []
        new: list[FrameBatch] = []
        for window in windows:
            if not distinct or not _are_equal(distinct[-1], window.frames):
                distinct.append(window.frames)
                new.append(window)
            rows.append(len(distinct) - 1)
        encoded = await self.embed_frames(new) if new else ()
        embeddings = np.stack([*(window.embedding for window in known), *encoded])[rows]
        # A copy, because the worker's memory is for its next videos.
        self._last_windows[file] = _EmbeddedWindow(distinct[-1].copy(), embeddings[-1])
        return embeddings

    def _budget(self, file: SealedFile) -> VideoBudget:
        """Return the budget that all decode jobs on this file share."""
        if file not in self._budgets:
            self._budgets[file] = self._pool.budget_of(file.fd)
        return self._budgets[file]

    def _decode_threads(self) -> int:
        """Return the number of decode threads: more than one only for a request without others."""
        return self._settings.decode_threads if self._admission.is_alone else 1


def _are_equal(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> bool:
    # Some rows first: most windows differ in them.
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
