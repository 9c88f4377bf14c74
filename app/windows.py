"""A long video as windows: how it is cut, and the frames of some windows at a time."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from app.decode_pool import DecodePool
from app.question import Question, WindowPlan
from app.sealed_file import SealedFile
from model import FrameBatch, Tagger, VideoInfo, Window, clip_timestamps, plan_windows


def cut(
    info: VideoInfo, question: Question, max_windows: int
) -> tuple[tuple[Window, ...], WindowPlan, tuple[str, ...]]:
    """The windows over the whole duration, how they were laid out, and what to warn of."""
    windows, stride = plan_windows(
        info.duration_seconds, question.window_seconds, question.stride_seconds, max_windows
    )
    plan = WindowPlan(len(windows), question.window_seconds, stride)
    if stride <= question.stride_seconds:
        return windows, plan, ()
    return windows, plan, (f"stride widened to {stride:.3f} s: {len(windows)} windows at most",)


async def decode_windows(
    pool: DecodePool,
    file: SealedFile,
    info: VideoInfo,
    windows: Sequence[Window],
    tagger: Tagger,
    deadline: float,
    *,
    keyframes_only: bool,
    threads: int,
) -> list[FrameBatch]:
    """The frames of each window, in one trip to a decode process.

    Raises a VideoError or DecodeTimeout.
    """
    times = np.stack(
        [
            clip_timestamps(
                window.start_seconds, window.end_seconds, info.frames_per_second, tagger.sampling
            ).ravel()
            for window in windows
        ]
    )
    batch = await pool.decode(
        file.fd,
        times.ravel(),
        tagger.preprocess.short_side,
        deadline,
        keyframes_only=keyframes_only,
        threads=threads,
    )
    frames = batch.frames.reshape(*times.shape, *batch.frames.shape[1:])
    shown = batch.timestamps_seconds.reshape(times.shape)
    return [
        FrameBatch(frames[position], shown[position], batch.warnings)
        for position in range(len(windows))
    ]


def mean_embedding(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(W, dim) unit vectors to their mean, (1, dim), scaled to unit length."""
    mean: npt.NDArray[np.float32] = embeddings.mean(axis=0, keepdims=True)
    length = float(np.linalg.norm(mean))
    return mean / np.float32(length) if length else mean
