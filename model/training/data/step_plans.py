"""Plan the samples and texts of each step, as a pure function of seed and step number."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.training.config import BatchConfig
from model.training.data.manifest import Sample


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Plan:
    """A step over all processes: rows of the samples (B,) and of the text bank, all int64.

    The first `pictures` samples are pictures, the others videos. `texts` (B,) are each sample's
    text, `candidates` (C,) all texts that the loss compares with, sorted.
    """

    pictures: int
    samples: npt.NDArray[np.int64]
    texts: npt.NDArray[np.int64]
    candidates: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Pool:
    """The samples of one kind (rows), the number in each step, and each one's probability."""

    rows: npt.NDArray[np.int64]
    size: int
    probabilities: npt.NDArray[np.float64]


class StepPlans:
    """Plans of all steps of a run.

    `text_rows` are each sample's rows in the text bank, which has `bank_size` rows; `candidates`
    of these are drawn for each step beside the batch's own. Raises ValueError when a step would
    contain no sample.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        text_rows: Sequence[Sequence[int]],
        batch: BatchConfig,
        *,
        bank_size: int,
        candidates: int,
        seed: int,
    ) -> None:
        self.samples = samples
        self.batch = batch
        self.seed = seed
        self._text_rows = text_rows
        self._bank_size = bank_size
        self._candidates = candidates
        are_pictures = np.array([sample.is_picture for sample in samples])
        self.pools = tuple(
            Pool(rows, size, _tempered(samples, rows, batch.temper))
            for rows, size in (
                (np.flatnonzero(are_pictures), batch.pictures),
                (np.flatnonzero(~are_pictures), batch.videos),
            )
            if len(rows) and size
        )
        if not self.pools:
            raise ValueError(
                f"a step takes {batch.pictures} pictures and {batch.videos} videos; there are "
                f"{are_pictures.sum()} and {(~are_pictures).sum()}"
            )
        self._picture_count = batch.pictures if are_pictures.any() else 0

    def plan(self, step: int) -> Plan:
        """Plan the samples, their texts and the candidates of a step, over all processes."""
        rng = np.random.default_rng([self.seed, step])
        chosen = np.concatenate([self._chosen(pool, step, rng) for pool in self.pools])
        texts = np.array([rng.choice(self._text_rows[row]) for row in chosen])
        drawn = rng.choice(self._bank_size, min(self._candidates, self._bank_size), replace=False)
        candidates = np.unique(np.concatenate([texts, drawn]))
        return Plan(self._picture_count, chosen, texts, candidates)

    def _chosen(self, pool: Pool, step: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        if self.batch.epoch_samples:
            return self._shuffled(pool.rows, step * pool.size, pool.size)
        return rng.choice(pool.rows, pool.size, p=pool.probabilities)

    def _shuffled(
        self, rows: npt.NDArray[np.int64], first: int, size: int
    ) -> npt.NDArray[np.int64]:
        """Return elements `first` to `first + size` of the endless sequence of shuffled `rows`."""
        epoch_length = min(self.batch.epoch_samples, len(rows))
        epochs, positions = np.divmod(np.arange(first, first + size), epoch_length)
        shuffles = [
            np.random.default_rng([self.seed, int(epoch), len(rows), 1]).permutation(rows)
            for epoch in np.unique(epochs)
        ]
        return np.array(
            [shuffles[e - epochs[0]][p] for e, p in zip(epochs, positions, strict=True)]
        )


def _tempered(
    samples: Sequence[Sample], rows: npt.NDArray[np.int64], power: float
) -> npt.NDArray[np.float64]:
    """Compute the probability of each row: sources by size ** power, uniform within a source."""
    sources = [samples[row].source for row in rows]
    sizes = Counter(sources)
    weights = np.array([sizes[source] ** (power - 1.0) for source in sources])
    return weights / weights.sum() if len(weights) else weights
