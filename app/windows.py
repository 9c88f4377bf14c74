"""A long video as windows: how it is cut, and the frames of some windows at a time."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from app.decode.decode_pool import DecodePool
from app.question import Question, WindowPlan
from app.upload.buffer import SealedFile
from model import (
    FrameBatch,
    SamplingConfig,
    VideoInfo,
    Window,
    clip_timestamps,
    plan_windows,
)

# Progress is told after so many at the latest.
_WINDOWS_PER_TURN = 8
# They are in memory at once, in the process that decoded them and in this one.
_FRAMES_PER_TURN = 64


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


def frame_times(
    windows: Sequence[Window], info: VideoInfo, sampling: SamplingConfig
) -> npt.NDArray[np.float64]:
    """When to look at each window: (W, T) seconds."""
    return np.stack(
        [
            clip_timestamps(
                window.start_seconds, window.end_seconds, info.frames_per_second, sampling
            ).ravel()
            for window in windows
        ]
    )


def turns(times: npt.NDArray[np.float64]) -> Iterator[slice]:
    """Rows of (W, T) times to decode and encode at once, one window at least.

    Neighbours that overlap share frames, so that more of them fit into one turn.
    """
    start = 0
    while start < len(times):
        end = min(start + _WINDOWS_PER_TURN, len(times))
        while end > start + 1 and np.unique(times[start:end]).size > _FRAMES_PER_TURN:
            end -= 1
        yield slice(start, end)
        start = end


async def decode_windows(
    pool: DecodePool,
    file: SealedFile,
    times: npt.NDArray[np.float64],
    short_side: int,
    *,
    keyframes_only: bool,
    threads: int,
) -> list[FrameBatch]:
    """The frames shown at each window's times, (W, T) seconds, in one trip to a decode process.

    Raises a VideoError or DecodeTimeout.
    """
    wanted, places = np.unique(times, return_inverse=True)
    batch = await pool.decode(
        file.fd,
        wanted,
        short_side,
        keyframes_only=keyframes_only,
        threads=threads,
    )
    return [_part(batch, of_window) for of_window in places.reshape(times.shape)]


def _part(batch: FrameBatch, places: npt.NDArray[np.intp]) -> FrameBatch:
    first, last = int(places[0]), int(places[-1])
    in_a_row = np.array_equal(places, np.arange(first, last + 1))
    # rows side by side are looked at where they are, not copied
    rows = slice(first, last + 1) if in_a_row else places
    return FrameBatch(batch.frames[rows], batch.timestamps_seconds[rows], batch.warnings)


def mean_embedding(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(W, dim) unit vectors to their mean, (1, dim), scaled to unit length."""
    mean: npt.NDArray[np.float32] = embeddings.mean(axis=0, keepdims=True)
    length = float(np.linalg.norm(mean))
    return mean / np.float32(length) if length else mean
