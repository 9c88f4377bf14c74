"""Embed samples through the serving path, so that evaluation measures what is served."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from model.encoder.networks import FrameNetwork
from model.encoder.torch_encoder import TorchEncoder
from model.errors import VideoError
from model.tagger import Tagger
from model.training.data.manifest import Sample
from model.training.data.readers import read_frames
from model.training.progress import Progress, no_progress
from model.video.reader import FrameBatch
from model.video.sampling import SamplingConfig

# fastest on CPUs; larger batches do not fit into the caches
_FRAMES_PER_BATCH = 8


@dataclass(frozen=True, slots=True)
class Broken:
    """A sample that cannot be read, and the reason."""

    sample: Sample
    reason: str


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Embedded:
    """Samples with their (N, D) float32 embeddings, and samples that cannot be read."""

    samples: tuple[Sample, ...]
    vectors: npt.NDArray[np.float32]
    broken: tuple[Broken, ...] = ()

    def select(self, condition: Callable[[Sample], bool]) -> "Embedded":
        """Select the samples for which `condition` is true."""
        rows = [row for row, sample in enumerate(self.samples) if condition(sample)]
        return Embedded(
            tuple(self.samples[row] for row in rows),
            self.vectors[rows],
            tuple(broken for broken in self.broken if condition(broken.sample)),
        )


def embed_samples(
    tagger: Tagger,
    samples: Sequence[Sample],
    progress: Progress = no_progress,
    *,
    clips: int | None = None,
) -> npt.NDArray[np.float32]:
    """Embed videos and pictures: (N, D) float32 unit vectors, in order.

    A picture is a clip of equal frames. `clips` replaces the tagger's number of clips per video.
    Raises a VideoError naming the first sample that cannot be read.
    """
    embedded = embed_readable(tagger, samples, progress, clips=clips)
    if embedded.broken:
        first = embedded.broken[0]
        raise VideoError(f"{first.sample.path} {first.sample.member}: {first.reason}")
    return embedded.vectors


def embed_readable(
    tagger: Tagger,
    samples: Sequence[Sample],
    progress: Progress = no_progress,
    *,
    clips: int | None = None,
) -> Embedded:
    """Embed as `embed_samples`, but leave out and list samples that cannot be read."""
    sampling = replace(tagger.sampling, clips=clips or tagger.sampling.clips)
    vectors: list[npt.NDArray[np.float32]] = []
    kept: list[Sample] = []
    broken: list[Broken] = []
    for pictures in (True, False):
        chosen = [sample for sample in samples if sample.is_picture == pictures]
        own = SamplingConfig(1, 1) if pictures and _stills_are_pictures(tagger) else sampling
        batch_size = max(1, _FRAMES_PER_BATCH // (own.clips * own.frames_per_clip))
        embedder = replace(tagger, sampling=own)
        for batch in _read(chosen, own, tagger.preprocess.short_side, batch_size):
            broken += [read for read in batch if isinstance(read, Broken)]
            readable = [read for read in batch if not isinstance(read, Broken)]
            if readable:
                vectors.append(embedder.embed_frames([frames for _, frames in readable]))
                kept += [sample for sample, _ in readable]
            progress(len(kept) + len(broken), len(samples))
    # pictures were embedded first: restore the order of `samples`
    position = {id(sample): row for row, sample in enumerate(samples)}
    order = sorted(range(len(kept)), key=lambda row: position[id(kept[row])])
    stacked = np.concatenate(vectors) if vectors else np.empty((0, tagger.encoder.dim), np.float32)
    return Embedded(tuple(kept[row] for row in order), stacked[order], tuple(broken))


def _stills_are_pictures(tagger: Tagger) -> bool:
    """Whether a clip of equal frames has the embedding of one frame, which is far cheaper."""
    encoder = tagger.encoder
    return isinstance(encoder, TorchEncoder) and isinstance(encoder.network, FrameNetwork)


_Read = tuple[Sample, FrameBatch] | Broken


def _read(
    samples: Sequence[Sample], sampling: SamplingConfig, short_side: int, batch_size: int
) -> Iterator[list[_Read]]:
    """Yield batches of decoded samples; the next one is decoded while the caller uses this one."""
    with ThreadPoolExecutor(max_workers=1) as ahead:

        def batch(start: int) -> Future[list[_Read]]:
            group = samples[start : start + batch_size]
            return ahead.submit(lambda: [_read_one(s, sampling, short_side) for s in group])

        coming = batch(0)
        for start in range(0, len(samples), batch_size):
            current, coming = coming, batch(start + batch_size)
            yield current.result()


def _read_one(sample: Sample, sampling: SamplingConfig, short_side: int) -> _Read:
    count = sampling.clips * sampling.frames_per_clip
    try:
        frames = read_frames(sample, sampling, short_side)
    except (VideoError, OSError) as error:
        return Broken(sample, str(error))
    if len(frames) == 1:
        frames = np.repeat(frames, count, axis=0)
    # the network uses no timestamps: frame numbers stand in for them
    return sample, FrameBatch(frames, np.arange(len(frames), dtype=np.float64))
