"""The scores that the service gives, computed from similarities of many samples."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.calibration import Calibration, Vectors
from model.training.measure.metrics import Floats


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ServedScores:
    """The score of each sample's first tag, (N,) float64, and the probability of unknown, (N,)."""

    first: npt.NDArray[np.float64]
    unknown: npt.NDArray[np.float64]


def served_scores(
    calibration: Calibration, embeddings: Vectors, standardised: Floats
) -> ServedScores:
    """Compute the scores of (N, dim) `embeddings` for a set of C labels, at least one.

    `standardised` (N, C) are the similarities of the embeddings to the labels.
    """
    best = -np.sort(-standardised.astype(np.float64), axis=1)
    none_weights = calibration.none_weights(embeddings).tolist()
    scales = [calibration.scale(row, none) for row, none in zip(best, none_weights, strict=True)]
    first = [scale.score(float(row[0])) for scale, row in zip(scales, best, strict=True)]
    return ServedScores(np.array(first), np.array([scale.unknown for scale in scales]))
