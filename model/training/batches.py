"""Step number to batch, as a pure function: a run resumes bit for bit by starting at its step."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from model.errors import VideoError
from model.sampling import SamplingConfig
from model.training.augment import augment
from model.training.config import BatchConfig
from model.training.manifest import Sample
from model.training.readers import read_clips, read_pair, read_picture

_TRIES = 20  # broken files in a row before a source is given up


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's share of this process.

    `pixels` is (B, N, T, 3, H, W) uint8, `target_rows` (B,) int64 rows of `candidates`,
    `candidates` (C,) int64 rows of the text bank, the same on every process. `skipped` counts
    files that could not be read and were replaced.
    """

    pixels: Tensor
    target_rows: Tensor
    candidates: Tensor
    skipped: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a step takes, over all processes: rows of the samples and of the text bank."""

    samples: npt.NDArray[np.int64]
    texts: npt.NDArray[np.int64]
    candidates: npt.NDArray[np.int64]


class StepBatches(Dataset[Batch]):
    """Map-style data set whose index is the step number.

    `text_rows` gives each sample's rows in the text bank; `texts` is the bank's length. Process
    `rank` of `world` gets every `world`-th sample of a step.
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
        self._pictures, self._videos = np.flatnonzero(kinds), np.flatnonzero(~kinds)
        for rows, size in ((self._pictures, batch.pictures), (self._videos, batch.videos)):
            if len(rows) and size % world:
                raise ValueError(f"{world} processes cannot share {size} samples evenly")
        self._chances = {
            True: _tempered(samples, self._pictures, batch.temper),
            False: _tempered(samples, self._videos, batch.temper),
        }

    def __len__(self) -> int:
        return self._steps

    def is_picture_step(self, step: int) -> bool:
        """Whether the step takes pictures rather than videos."""
        if not len(self._videos) or not len(self._pictures):
            return len(self._pictures) > 0
        every = self._batch.video_every
        return not every or (step + 1) % every != 0

    def plan(self, step: int) -> Plan:
        """The samples, their texts and the candidates of a step, for all processes."""
        rng = np.random.default_rng([self._seed, step])
        pictures = self.is_picture_step(step)
        pool = self._pictures if pictures else self._videos
        size = self._batch.pictures if pictures else self._batch.videos
        if self._batch.epoch_samples:
            chosen = self._shuffled(pool, step * size, size)
        else:
            chosen = rng.choice(pool, size, p=self._chances[pictures])
        texts = np.array([rng.choice(self._text_rows[row]) for row in chosen])
        drawn = rng.choice(self._texts, min(self._candidates, self._texts), replace=False)
        return Plan(chosen, texts, np.unique(np.concatenate([texts, drawn])))

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
        mine = range(self._rank, len(plan.samples), self._world)
        clips: list[Tensor] = []
        skipped = 0
        texts: list[int] = []
        for position in mine:
            rng = np.random.default_rng([self._seed, step, position])
            frames, text, misses = self._readable(plan, position, rng)
            clips.append(self._clip(frames, rng, picture=self.is_picture_step(step)))
            texts.append(text)
            skipped += misses
        rows = np.searchsorted(plan.candidates, np.array(texts))
        return Batch(
            torch.stack(clips), torch.from_numpy(rows), torch.from_numpy(plan.candidates), skipped
        )

    def _readable(
        self, plan: Plan, position: int, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.uint8], int, int]:
        """The planned sample's frames, or those of another in the plan when it is broken."""
        for misses in range(_TRIES):
            place = (position + misses) % len(plan.samples)
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


def _tempered(
    samples: Sequence[Sample], rows: npt.NDArray[np.int64], power: float
) -> npt.NDArray[np.float64]:
    """Chance of each row: sources by size ** power, evenly inside a source."""
    sources = [samples[row].source for row in rows]
    sizes = Counter(sources)
    weights = np.array([sizes[source] ** (power - 1.0) for source in sources])
    return weights / weights.sum() if len(weights) else weights
