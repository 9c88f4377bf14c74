"""Convert similarities to scores that mean the same for every label, and recognise "unknown".

The raw cosines of each label have their own level and spread: labels near the centre of the text
space are similar to every video, and labels seen in training are more similar than unseen ones.
Each prototype's similarity is therefore standardised by its level and spread over a fixed bank of
clip embeddings that the checkpoint contains. The score is a logistic function of that (Platt,
1999), fitted on classes that training never saw.

The level is between the label's mean similarity to the bank and its similarity to the nearest clips
there. The bank holds training clips, some of which are very near to a label that was trained on, so
that such a label's level is raised more: a penalty for seen labels (Chao et al., ECCV 2016) without
a list of them.
"""

import math
from dataclasses import astuple, dataclass, field

import numpy as np
import numpy.typing as npt

# A prototype that is equally similar to all background clips carries no information; with this
# minimum its standardised similarity cannot dominate the ranking.
_MIN_SPREAD = 0.02
# Few, because a bank of a thousand clips holds two or three of each trained label.
_NEAREST_CLIPS = 3


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """Parameters of the two logistic functions, fitted by `model.training.calibrate`.

    `score_slope` and `score_bias` map a standardised similarity to the probability that the label
    applies. `unknown_slope` and `unknown_bias` map the best standardised similarity of a label
    set, minus the one expected by chance (`expected_best`), to the probability that one of its
    labels applies. A video whose probability of "unknown" is over `unknown_limit` counts as
    unknown; on the classes of the fit this rejects the share `unknown_false_positive_rate` of known
    videos (None where nothing was fitted). `nearest_share`, 0 to 1, moves a label's level from its
    mean similarity to the bank towards that of its nearest clips.

    Raises ValueError for values that are not finite, and for a `nearest_share` out of range.
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
            raise ValueError(f"all calibration parameters must be finite, not {self}")
        if not 0.0 <= self.nearest_share <= 1.0:
            raise ValueError(f"nearest_share must be in 0..1, not {self.nearest_share}")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Calibration:
    """Fitted parameters and the bank of background clips: (M, dim) float32 unit, M may be 0."""

    config: CalibrationConfig
    bank: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def background_of(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Compute level and spread of the similarities to the bank of (R, dim) vectors: (R, 2).

        Without a bank the level is 0 and the spread 1, so that similarities do not change.
        """
        background = np.zeros((len(vectors), 2), np.float32)
        background[:, 1] = 1.0
        if len(self.bank):
            similarities = vectors @ self.bank.T
            mean = similarities.mean(axis=1)
            background[:, 1] = np.maximum(similarities.std(axis=1), _MIN_SPREAD)
            similarities.partition(max(0, len(self.bank) - _NEAREST_CLIPS), axis=1)
            nearest = similarities[:, -_NEAREST_CLIPS:].mean(axis=1)
            background[:, 0] = mean + self.config.nearest_share * (nearest - mean)
        return background

    def score(self, standardised: float) -> float:
        """Return the probability, 0 to 1, that a label of this similarity applies."""
        return _logistic(self.config.score_slope * standardised + self.config.score_bias)

    def unknown_score(self, best_standardised: float, labels: int) -> float:
        """Return the probability, 0 to 1, that none of `labels` labels applies."""
        margin = best_standardised - expected_best(labels)
        return _logistic(-(self.config.unknown_slope * margin + self.config.unknown_bias))


def expected_best(labels: int) -> float:
    """Approximate the maximum of `labels` independent standard normal values: sqrt(2 ln(n + 1)).

    In a larger label set some label is more similar by chance alone.
    """
    return math.sqrt(2.0 * math.log(labels + 1))


def _logistic(value: float) -> float:
    """Compute 1 / (1 + exp(-value)) without overflow."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    return math.exp(value) / (1.0 + math.exp(value))
