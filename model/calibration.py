"""Similarities to scores that mean the same for every label, and "none of these".

A label's raw cosine has a level and a spread of its own: labels near the middle of the text space
are similar to everything, and labels seen in training score higher than unseen ones. Each
prototype's similarity is therefore standardised by its level and spread over a fixed bank of clip
embeddings that travels in the checkpoint; the score is a logistic of that (Platt, 1999), fitted on
classes that training never saw.

The level lies between the label's mean over the bank and its nearest clips there. The bank holds
training clips, so a label that was trained on finds some that are very near and is raised more
than one that was not: seen labels are handicapped (Chao et al., ECCV 2016) without a list of them.
"""

import math
from dataclasses import astuple, dataclass, field

import numpy as np
import numpy.typing as npt

# A prototype that is equally similar to every background clip says nothing; its spread is held
# at this floor so that it cannot dominate the ranking.
_LEAST_SPREAD = 0.02
# Few, because a bank of a thousand clips holds two or three of each trained label.
_NEAREST = 3


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """Parameters of the two logistics, fitted in training (`model.training.calibrate`).

    `unknown_*` map the best standardised similarity of a set, less what chance gives a set of its
    size, to the probability that one of its labels applies. Above `unknown_limit` the answer is
    said to be unknown, which on the fitting classes wrongly rejects the share
    `unknown_false_positive_rate` of known videos, None if nothing was fitted. `nearest_share` 0..1
    says how far a label's level goes from its mean similarity over the bank to that of its nearest
    clips.
    """

    score_slope: float = 1.0
    score_bias: float = 0.0
    unknown_slope: float = 1.0
    unknown_bias: float = 0.0
    unknown_limit: float = 0.5
    unknown_false_positive_rate: float | None = None
    nearest_share: float = 0.0

    def __post_init__(self) -> None:
        if not all(value is None or math.isfinite(value) for value in astuple(self)):
            raise ValueError(f"not all of {self} are finite")
        if not 0.0 <= self.nearest_share <= 1.0:
            raise ValueError(f"nearest_share must be in 0..1, not {self.nearest_share}")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Calibration:
    """The fitted parameters and the background bank: (M, dim) float32 unit, M may be 0."""

    config: CalibrationConfig
    bank: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def background_of(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Level and spread of the similarity to the bank of each of (R, dim) vectors: (R, 2).

        Without a bank, level 0 and spread 1: similarities stay as they are.
        """
        background = np.zeros((len(vectors), 2), np.float32)
        background[:, 1] = 1.0
        if len(self.bank):
            similarities = vectors @ self.bank.T
            mean = similarities.mean(axis=1)
            background[:, 1] = np.maximum(similarities.std(axis=1), _LEAST_SPREAD)
            similarities.partition(max(0, len(self.bank) - _NEAREST), axis=1)
            nearest = similarities[:, -_NEAREST:].mean(axis=1)
            background[:, 0] = mean + self.config.nearest_share * (nearest - mean)
        return background

    def score(self, standardised: float) -> float:
        """Probability 0..1 that a label applies, from its standardised similarity."""
        return _logistic(self.config.score_slope * standardised + self.config.score_bias)

    def unknown_score(self, best_standardised: float, labels: int) -> float:
        """Probability 0..1 that none of `labels` labels applies, from the best similarity."""
        margin = best_standardised - expected_best(labels)
        return _logistic(-(self.config.unknown_slope * margin + self.config.unknown_bias))


def expected_best(labels: int) -> float:
    """About the largest of `labels` independent standard normal values: sqrt(2 ln(n + 1)).

    A larger set finds something similar by chance alone; "none of these" is asked beyond that.
    """
    return math.sqrt(2.0 * math.log(labels + 1))


def _logistic(value: float) -> float:
    """1 / (1 + exp(-value)) without overflow at either end."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    return math.exp(value) / (1.0 + math.exp(value))
