"""Step number to batch, as a pure function: a run resumes bit for bit by starting at its step."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from model.errors import VideoError
from model.training.config import BatchConfig
from model.training.data.augment import augment
from model.training.data.manifest import Sample
from model.training.data.readers import read_clips, read_pair, read_picture
from model.video.sampling import SamplingConfig

_TRIES = 20  # broken files in a row before a source is given up


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's share of this process.

    `pixels` holds a (B, N, T, 3, H, W) uint8 tensor of the pictures and one of the videos, or of
    the kind there is. `target_rows` (sum of B,) int64 are rows of `candidates`, which (C,) int64
    are rows of the text bank, the same on every process. `skipped` counts files that could not be
    read and were replaced.
    """

    pixels: tuple[Tensor, ...]
    target_rows: Tensor
    candidates: Tensor
    skipped: int

    def pieces(self, size: int) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Pixels and target rows of at most `size` samples of one kind; 0 for the whole batch."""
        if not size:
            yield list(self.pixels), self.target_rows
            return
        first = 0
        for pixels in self.pixels:
            rows = self.target_rows[first : first + len(pixels)]
            first += len(pixels)
            for start in range(0, len(pixels), size):
                piece = slice(start, start + size)
                yield [pixels[piece]], rows[piece]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a step takes, over all processes: rows of the samples and of the text bank.

    The first `pictures` samples are pictures, the others videos.
    """

    pictures: int
    samples: npt.NDArray[np.int64]
    texts: npt.NDArray[np.int64]
    candidates: npt.NDArray[np.int64]


class StepBatches(Dataset[Batch]):
    """Map-style data set whose index is the step number.

    `text_rows` gives each sample's rows in the text bank; `texts` is the bank's length. Process
    `rank` of `world` gets every `world`-th picture and video of a step. Raises ValueError when
    they cannot be shared evenly, or when a step takes nothing that there is.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        text_rows: Sequence[Sequence[int]],
        texts: int,
        batch: BatchConfig,
        sampling: SamplingConfig,
        *,
        candidates: int,
        steps: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._samples = samples
        self._text_rows = text_rows
        self._texts = texts
        self._batch = batch
        self._sampling = sampling
        self._candidates = candidates
        self._steps = steps
        self._seed = seed
        self._rank, self._world = rank, world
        kinds = np.array([sample.is_picture for sample in samples])
        self._pools = [
            _Pool(rows, size, _tempered(samples, rows, batch.temper))
            for rows, size in (
                (np.flatnonzero(kinds), batch.pictures),
                (np.flatnonzero(~kinds), batch.videos),
            )
            if len(rows) and size
        ]
        if not self._pools:
            raise ValueError(
                f"a step takes {batch.pictures} pictures and {batch.videos} videos; there are "
                f"{kinds.sum()} and {(~kinds).sum()}"
            )
        for pool in self._pools:
            if pool.size % world:
                raise ValueError(f"{world} processes cannot share {pool.size} samples evenly")
        self._picture_count = batch.pictures if kinds.any() else 0

    def __len__(self) -> int:
        return self._steps

    def plan(self, step: int) -> Plan:
        """The samples, their texts and the candidates of a step, for all processes."""
        rng = np.random.default_rng([self._seed, step])
        chosen = np.concatenate([self._drawn(pool, step, rng) for pool in self._pools])
        texts = np.array([rng.choice(self._text_rows[row]) for row in chosen])
        drawn = rng.choice(self._texts, min(self._candidates, self._texts), replace=False)
        candidates = np.unique(np.concatenate([texts, drawn]))
        return Plan(self._picture_count, chosen, texts, candidates)

    def _drawn(self, pool: "_Pool", step: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        if self._batch.epoch_samples:
            return self._shuffled(pool.rows, step * pool.size, pool.size)
        return rng.choice(pool.rows, pool.size, p=pool.chances)

    def _shuffled(
        self, pool: npt.NDArray[np.int64], first: int, size: int
    ) -> npt.NDArray[np.int64]:
        """Places `first` to `first + size` of the endless row of shuffles of `pool`."""
        epoch_length = min(self._batch.epoch_samples, len(pool))
        epochs, places = np.divmod(np.arange(first, first + size), epoch_length)
        drawn = [
            np.random.default_rng([self._seed, int(epoch), len(pool), 1]).permutation(pool)
            for epoch in np.unique(epochs)
        ]
        return np.array([drawn[e - epochs[0]][p] for e, p in zip(epochs, places, strict=True)])

    def __getitem__(self, step: int) -> Batch:
        plan = self.plan(step)
        pixels: list[Tensor] = []
        skipped = 0
        texts: list[int] = []
        for kind in (range(plan.pictures), range(plan.pictures, len(plan.samples))):
            clips: list[Tensor] = []
            for position in kind[self._rank :: self._world]:
                rng = np.random.default_rng([self._seed, step, position])
                frames, text, misses = self._readable(plan, kind, position, rng)
                clips.append(self._clip(frames, rng, picture=position < plan.pictures))
                texts.append(text)
                skipped += misses
            if clips:
                pixels.append(torch.stack(clips))
        rows = np.searchsorted(plan.candidates, np.array(texts))
        return Batch(
            tuple(pixels), torch.from_numpy(rows), torch.from_numpy(plan.candidates), skipped
        )

    def _readable(
        self, plan: Plan, kind: range, position: int, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.uint8], int, int]:
        """The planned sample's frames, or those of another of its kind when it is broken."""
        for misses in range(_TRIES):
            place = kind[(position - kind.start + misses) % len(kind)]
            try:
                return self._frames(int(plan.samples[place]), rng), int(plan.texts[place]), misses
            except (VideoError, OSError):
                continue
        raise VideoError(f"{_TRIES} files in a row could not be read")

    def _frames(self, row: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """One frame of a picture, two of a pair, all of a video's clips."""
        sample = self._samples[row]
        if sample.pair:
            return read_pair(sample, self._batch.short_side)
        if sample.is_picture:
            return read_picture(sample, self._batch.short_side)
        return read_clips(sample, self._sampling, self._batch.short_side, rng=rng)

    def _clip(
        self, frames: npt.NDArray[np.uint8], rng: np.random.Generator, *, picture: bool
    ) -> Tensor:
        """(N, T, 3, side, side): one clip of a picture or a pair, all of a video's."""
        if not picture:
            pixels = augment(frames, self._batch, rng, frames=len(frames))
            return pixels.reshape(self._sampling.clips, -1, *pixels.shape[1:])
        length = self._batch.picture_frames
        if len(frames) == 2:
            # the action starts in the first picture and ends in the second
            halves = np.arange(length) * 2 // length if length > 1 else rng.integers(2, size=1)
            frames = frames[halves]
        return augment(frames, self._batch, rng, frames=length).unsqueeze(0)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Pool:
    """The samples of a kind, how many of them a step takes, and each one's chance."""

    rows: npt.NDArray[np.int64]
    size: int
    chances: npt.NDArray[np.float64]


def _tempered(
    samples: Sequence[Sample], rows: npt.NDArray[np.int64], power: float
) -> npt.NDArray[np.float64]:
    """Chance of each row: sources by size ** power, evenly inside a source."""
    sources = [samples[row].source for row in rows]
    sizes = Counter(sources)
    weights = np.array([sizes[source] ** (power - 1.0) for source in sources])
    return weights / weights.sum() if len(weights) else weights
