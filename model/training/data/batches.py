"""Build the batch of a step from the step number alone.

A run therefore resumes bit for bit by starting at its step.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from model.errors import VideoError
from model.training.data.augment import augment
from model.training.data.readers import read_clips, read_pair, read_picture
from model.training.data.step_plans import Plan, StepPlans
from model.training.distributed import DistributedRank
from model.video.sampling import SamplingConfig

_MAX_TRIES = 20  # broken files in a row before the run fails


@dataclass(frozen=True, slots=True)
class Batch:
    """This process's share of one step.

    `pixels` holds a (B, N, T, 3, H, W) uint8 tensor of the pictures and one of the videos, or only
    one of them. `target_rows` (sum of B,) int64 are rows of `candidates`; `candidates` (C,) int64
    are rows of the text bank, the same in every process. `skipped` counts files that could not be
    read and were replaced.
    """

    pixels: tuple[Tensor, ...]
    target_rows: Tensor
    candidates: Tensor
    skipped: int

    def pieces(self, size: int) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Yield pixels and target rows of at most `size` samples of one kind; all of them for 0."""
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


class StepBatches(Dataset[Batch]):
    """Map-style data set whose index is the step number.

    Each process gets every `world_size`-th picture and video of a step. Raises ValueError when a
    step's samples cannot be divided evenly among the processes.
    """

    def __init__(
        self,
        plans: StepPlans,
        sampling: SamplingConfig,
        steps: int,
        process: DistributedRank | None = None,
    ) -> None:
        self._plans = plans
        self._samples = plans.samples
        self._batch = plans.batch
        self._sampling = sampling
        self._steps = steps
        self._process = process or DistributedRank()
        for pool in plans.pools:
            if pool.size % self._process.world_size:
                raise ValueError(
                    f"{self._process.world_size} processes cannot share {pool.size} samples evenly"
                )

    def __len__(self) -> int:
        return self._steps

    def plan(self, step: int) -> Plan:
        """Plan the samples, texts and candidates of a step, over all processes."""
        return self._plans.plan(step)

    def __getitem__(self, step: int) -> Batch:
        plan = self.plan(step)
        pixels: list[Tensor] = []
        skipped = 0
        texts: list[int] = []
        for kind in (range(plan.pictures), range(plan.pictures, len(plan.samples))):
            clips: list[Tensor] = []
            for position in kind[self._process.rank :: self._process.world_size]:
                rng = np.random.default_rng([self._plans.seed, step, position])
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
        """Read a planned sample; replace a broken one by the next of its kind.

        Returns its frames, its row in the text bank, and how many samples were skipped.
        """
        for misses in range(_MAX_TRIES):
            other = kind[(position - kind.start + misses) % len(kind)]
            try:
                return self._frames(int(plan.samples[other]), rng), int(plan.texts[other]), misses
            except (VideoError, OSError):
                continue
        raise VideoError(f"{_MAX_TRIES} files in a row could not be read")

    def _frames(self, row: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Read (T, H, W, 3): one frame of a picture, two of a pair, all clips of a video."""
        sample = self._samples[row]
        if sample.pair:
            return read_pair(sample, self._batch.short_side)
        if sample.is_picture:
            return read_picture(sample, self._batch.short_side)
        return read_clips(sample, self._sampling, self._batch.short_side, rng=rng)

    def _clip(
        self, frames: npt.NDArray[np.uint8], rng: np.random.Generator, *, picture: bool
    ) -> Tensor:
        """Augment to (N, T, 3, side, side): one clip of a picture or a pair, N of a video."""
        if not picture:
            pixels = augment(frames, self._batch, rng, frames=len(frames))
            return pixels.reshape(self._sampling.clips, -1, *pixels.shape[1:])
        length = self._batch.picture_frames
        if len(frames) == 2:
            # the action starts in the first picture and ends in the second
            halves = np.arange(length) * 2 // length if length > 1 else rng.integers(2, size=1)
            frames = frames[halves]
        return augment(frames, self._batch, rng, frames=length).unsqueeze(0)
