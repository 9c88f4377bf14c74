"""Encodes films in chunks, as the library does, and each window on its own, as it once did."""

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.segments.films import Moment
from model import FrameBatch, Tagger, VideoInfo, WindowMeans, WindowPlan
from model.video.reader import AnyVideo, open_video
from model.video.sampling import clip_timestamps

_WINDOW_SECONDS, _STRIDE_SECONDS = 4.0, 2.0
_WINDOWS_PER_BATCH = 8
Embeddings = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedFilm:
    """A film's windows with their (W, dim) embeddings, and what is really there.

    `cpu_seconds` is the processor time of decoding and encoding.
    """

    film: int
    video: VideoInfo
    plan: WindowPlan
    embeddings: Embeddings
    truth: tuple[Moment, ...]
    cpu_seconds: float


def in_chunks(tagger: Tagger, video: AnyVideo, plan: WindowPlan) -> Iterator[Embeddings]:
    """Encode each frame once and average chunks to windows, as `Tagger.segments` does."""
    chunks = tagger.chunks(plan, video.info)
    means = WindowMeans(chunks.rows)
    for batch in chunks.batches():
        frames = video.decode(batch.distinct_seconds, short_side=tagger.preprocess.short_side)
        features = tagger.chunk_features(batch.split(frames), chunks.group)
        yield tagger.embed_features(means.add(features))


def each_window(tagger: Tagger, video: AnyVideo, plan: WindowPlan) -> Iterator[Embeddings]:
    """Encode each window on its own, in batches of eight whose common frames are decoded once."""
    times = np.stack(
        [
            clip_timestamps(
                window.start_seconds,
                window.end_seconds,
                video.info.frames_per_second,
                tagger.sampling,
            ).ravel()
            for window in plan.windows
        ]
    )
    for start in range(0, len(times), _WINDOWS_PER_BATCH):
        wanted = times[start : start + _WINDOWS_PER_BATCH]
        distinct, index = np.unique(wanted, return_inverse=True)
        decoded = video.decode(distinct, short_side=tagger.preprocess.short_side)
        shown = decoded.timestamps_seconds
        yield tagger.embed_frames(
            [FrameBatch(decoded.frames[row], shown[row]) for row in index.reshape(wanted.shape)]
        )


def encode(
    tagger: Tagger,
    film: bytes,
    truth: tuple[Moment, ...],
    way: Callable[[Tagger, AnyVideo, WindowPlan], Iterator[Embeddings]],
) -> EncodedFilm:
    """Compute the embeddings of a film's windows in one of the two ways."""
    started = time.process_time()
    with open_video(io.BytesIO(film)) as video:
        plan = WindowPlan.over(
            video.info.duration_seconds,
            window_seconds=_WINDOW_SECONDS,
            stride_seconds=_STRIDE_SECONDS,
            max_windows=1024,
        )
        embeddings = np.concatenate(list(way(tagger, video, plan)))
    spent = time.process_time() - started
    return EncodedFilm(truth[0].film, video.info, plan, embeddings, truth, spent)
