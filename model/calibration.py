"""Similarities to scores that mean the same for every label, and "none of these".

A label's raw cosine has a level and a spread of its own: labels near the middle of the text space
are similar to everything, and labels seen in training score higher than unseen ones. Each
prototype's similarity is therefore standardised by its mean and spread over a fixed bank of clip
embeddings that travels in the checkpoint; the score is a logistic of that (Platt, 1999), fitted on
classes that training never saw.
"""

import math
from dataclasses import astuple, dataclass, field

import numpy as np
import numpy.typing as npt

# A prototype that is equally similar to every background clip says nothing; its spread is held
# at this floor so that it cannot dominate the ranking.
_LEAST_SPREAD = 0.02


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """Parameters of the two logistics, fitted in training (`model.training.calibrate`).

    `unknown_*` map the best standardised similarity of a set, less what chance gives a set of its
    size, to the probability that one of its labels applies. Above `unknown_limit` the answer is
    said to be unknown, which on the fitting classes wrongly rejects the share
    `unknown_false_positive_rate` of known videos.
    """

    score_slope: float = 1.0
    score_bias: float = 0.0
    unknown_slope: float = 1.0
    unknown_bias: float = 0.0
    unknown_limit: float = 0.5
    unknown_false_positive_rate: float = 0.05

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, astuple(self))):
            raise ValueError(f"not all of {self} are finite")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Calibration:
    """The fitted parameters and the background bank: (M, dim) float32 unit, M may be 0."""

    config: CalibrationConfig
    bank: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def background_of(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Mean and spread of the similarity to the bank of each of (R, dim) vectors: (R, 2).

        Without a bank, mean 0 and spread 1: similarities stay as they are.
        """
        background = np.zeros((len(vectors), 2), np.float32)
        background[:, 1] = 1.0
        if len(self.bank):
            similarities = vectors @ self.bank.T
            background[:, 0] = similarities.mean(axis=1)
            background[:, 1] = np.maximum(similarities.std(axis=1), _LEAST_SPREAD)
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
