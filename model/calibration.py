"""Convert similarities to scores that mean the same for every label, and recognise "unknown".

The raw cosines of each label have their own level and spread: labels near the centre of the text
space are similar to every video, and labels seen in training are more similar than unseen ones.
Each prototype's similarity is therefore standardised by its level and spread over a fixed bank of
clip embeddings that the checkpoint contains.

The labels of a set compete for a video with each other and with everything else that might happen
in it. Reference actions stand for what else might happen: a fixed list of everyday actions in the
checkpoint. Where many of them fit better than the set's labels, probably none of the set applies
(Jiang et al., ICLR 2024, "Negative Label Guided OOD Detection with Pretrained Vision-Language
Models"). With the weight w = exp(score_slope * similarity + score_bias) of each label,

    none    = labels ** size_exponent
              * (1 + sum over reference actions of exp(score_slope * similarity + reference_bias))
    score   = w / (w + none + rivalry * sum of the other labels' w)
    unknown = none / (none + sum of all labels' w)

so that the best score and unknown never exceed 1 together. Without reference actions and rivalry
the score is a logistic function of the similarity (Platt, 1999). With one label, score and unknown
are 1 together. In a larger set some label is more similar by chance alone; the number of labels
weighs against it.
"""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from functools import cached_property
from hashlib import sha256

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

# A prototype that is equally similar to all background clips carries no information; with this
# minimum its standardised similarity cannot dominate the ranking.
_MIN_SPREAD = 0.001
# Few, because a bank of a thousand clips holds two or three of each trained label.
_NEAREST_CLIPS = 3
# The sums over labels stop at this rank: a sum over a million labels would need all their
# similarities, and lower ranks add little to it.
RIVALS = 32
# exp() of more than 709 overflows; with this maximum, sums of many weights are finite too.
_MAX_EXPONENT = 500.0
# A search calls about the same share of absent actions known, whatever the number of videos. Chosen
# on real clips: see "Nothing fits" in docs/experiments.md.
_VIDEOS_EXPONENT = 0.5
# Videos whose similarities to all reference actions are in memory at a time: about 30 MB.
_RANKED_TOGETHER = 1_024


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """Parameters of the scores (see above), fitted by `model.training.calibrate`.

    `rivalry`, 0 to 1, is the share of the other labels' weight that counts against a label: 0 where
    any number of labels may apply, 1 where exactly one does. A video whose probability of "unknown"
    is over `unknown_limit` counts as unknown; on the samples of the fit this rejects the share
    `unknown_false_positive_rate` of known videos (None where nothing was fitted). `fitted_on` says
    in words which samples the scores were fitted on, and is empty where none were. `nearest_share`,
    0 to 1, moves a label's level from its mean similarity to the bank towards that of its nearest
    clips, which handicaps labels that training saw (Chao et al., ECCV 2016) without a list of them.

    Raises ValueError for values that are not finite or out of range; `score_slope` is at least 0.
    """

    score_slope: float = 1.0
    score_bias: float = 0.0
    reference_bias: float = 0.0
    rivalry: float = 0.0
    size_exponent: float = 0.0
    unknown_limit: float = 0.5
    unknown_false_positive_rate: float | None = None
    nearest_share: float = 0.0
    fitted_on: str = ""

    def __post_init__(self) -> None:
        numbers = [value for value in astuple(self) if isinstance(value, float)]
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"all calibration parameters must be finite, not {self}")
        if self.score_slope < 0.0:
            raise ValueError(f"score_slope must be at least 0, not {self.score_slope}")
        for name in ("nearest_share", "rivalry"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in 0..1, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """Maps the similarities of one set's labels on one video to scores.

    `none` is the weight of "none of the labels", at least 1; `rivals` is the sum of the labels'
    weights, over the best `RIVALS` of them.
    """

    config: CalibrationConfig
    none: float
    rivals: float

    def score(self, standardised: float) -> float:
        """Return the probability, 0 to 1, that a viewer would agree with a label.

        `standardised` is the label's similarity; the score does not decrease with it. A label after
        the first `RIVALS` has the score that it would have in place of one of them.
        """
        own = _weight(self.config.score_slope * standardised + self.config.score_bias)
        if own == 0.0:
            return 0.0
        others = max(self.rivals - own, 0.0)
        # written so that rounding does not change the order of two labels
        score = 1.0 / (1.0 + (self.none + self.config.rivalry * others) / own)
        # the minimum differs by rounding only: score and unknown must not exceed 1 in float either
        return min(score, self._known)

    @property
    def unknown(self) -> float:
        """The probability, 0 to 1, that a viewer would agree with none of the labels."""
        return 1.0 - self._known

    @property
    def _known(self) -> float:
        return self.rivals / (self.none + self.rivals)


def _no_vectors() -> Vectors:
    return np.empty((0, 0), np.float32)


@dataclass(frozen=True, repr=False, eq=False)
class Calibration:
    """Fitted parameters, the bank of background clips, and the vectors of the reference actions.

    `bank` (M, dim) and `reference` (A, dim) are float32 unit; M and A may be 0. The vectors of the
    reference actions are computed as those of labels are.
    """

    config: CalibrationConfig
    bank: Vectors = field(default_factory=_no_vectors)
    reference: Vectors = field(default_factory=_no_vectors)

    def background_of(self, vectors: Vectors) -> Vectors:
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

    @cached_property
    def reference_background(self) -> Vectors:
        """Level and spread of each reference action, (A, 2)."""
        return self.background_of(self.reference)

    def none_weights(self, embeddings: Vectors) -> npt.NDArray[np.float64]:
        """Compute the weight of "none of the labels" for (Q, dim) embeddings: (Q,) float64."""
        if not len(self.reference):
            return np.ones(len(embeddings))
        level, spread = self.reference_background.T
        similarities = (embeddings @ self.reference.T - level) / spread
        exponents = self.config.score_slope * similarities.astype(np.float64)
        exponents += self.config.reference_bias
        weights = np.exp(np.minimum(exponents, _MAX_EXPONENT))
        total: npt.NDArray[np.float64] = weights.sum(axis=1)
        return 1.0 + total

    def scale(
        self, best_standardised: Sequence[float], none: float, labels: int | None = None
    ) -> ScoreScale:
        """Return the scale of a set of labels on one video.

        `best_standardised` are the similarities of its labels, best first; those after the first
        `RIVALS` do not count. `labels` is the size of the set, by default their number. `none` is
        the video's value of `none_weights`.
        """
        size = max(1, len(best_standardised) if labels is None else labels)
        none *= size**self.config.size_exponent
        slope, bias = self.config.score_slope, self.config.score_bias
        weights = [_weight(slope * each + bias) for each in best_standardised[:RIVALS]]
        return ScoreScale(self.config, none, sum(weights))

    def weights(self, standardised: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Compute the weight of a label for each of its similarities: (N,) float64."""
        exponents = self.config.score_slope * standardised + self.config.score_bias
        found: npt.NDArray[np.float64] = np.exp(np.minimum(exponents, _MAX_EXPONENT))
        return found

    @staticmethod
    def unknown_among(lowest: float, videos: int) -> float:
        """Return the probability that none of some videos shows a label, from the lowest of any.

        Among many videos one fits by chance alone: their number weighs against the best of them, as
        the number of a set's labels does on one video.
        """
        against = lowest * math.pow(max(1, videos), _VIDEOS_EXPONENT)
        return against / (against + 1.0 - lowest)


@dataclass(frozen=True, slots=True)
class VideoQuery:
    """A label that videos are ranked for: `vector` (dim,) float32, not of unit length.

    `offset` is the part of a value that is the same for all videos.
    """

    config: CalibrationConfig
    vector: Vectors
    offset: float

    def score(self, value: float) -> float:
        """Return the score 0 to 1 that the label alone has on a video of this value."""
        alone = value - self.offset
        weight = _weight(self.config.score_slope * alone + self.config.score_bias)
        return ScoreScale(self.config, 1.0, weight).score(alone)


class VideoRanking:
    """Ranks videos by the score that one label alone has on each of them.

    The weight of "none of the labels" is a video's own, so that the order of the scores is not that
    of the similarities. It is the order of the values (vector @ embedding - level) / spread, of the
    `vector` of `query` and the `background` of the video: a video takes the place that a label has
    in a `LabelIndex`.
    """

    def __init__(self, calibration: Calibration) -> None:
        self._calibration = calibration
        # a label's spread, so that a query has about the length of a label's vector
        spreads = calibration.reference_background[:, 1]
        self._spread = float(spreads.mean()) if len(spreads) else 1.0

    @property
    def digest(self) -> str:
        """Identifier to store with backgrounds: equal where they are."""
        config = self._calibration.config
        digest = sha256(repr((config.score_slope, config.reference_bias)).encode())
        for each in (self._calibration.reference, self._calibration.bank):
            digest.update(np.ascontiguousarray(each, np.float32).tobytes())
        return digest.hexdigest()

    def background(self, embeddings: Vectors) -> Vectors:
        """Compute level and spread of (N, dim) float32 unit embeddings of videos: (N, 2)."""
        background = np.zeros((len(embeddings), 2), np.float32)
        background[:, 1] = self._spread
        slope = self._calibration.config.score_slope
        if slope > 0.0:
            for start in range(0, len(embeddings), _RANKED_TOGETHER):
                some = slice(start, start + _RANKED_TOGETHER)
                none = np.log(self._calibration.none_weights(embeddings[some]))
                background[some, 0] = self._spread * none / slope
        return background

    def none_weights(self, embeddings: Vectors, background: Vectors) -> npt.NDArray[np.float64]:
        """Return `Calibration.none_weights` of embeddings (N, dim) with this background (N, 2).

        To some six digits; `embeddings` are read only where the background does not tell.
        """
        slope = self._calibration.config.score_slope
        if slope == 0.0:
            return self._calibration.none_weights(embeddings)
        exponents = background[:, 0].astype(np.float64) * (slope / self._spread)
        weights: npt.NDArray[np.float64] = np.exp(np.minimum(exponents, _MAX_EXPONENT))
        return weights

    def query(self, vector: Vectors, level: float, spread: float) -> VideoQuery:
        """Return the query of a label's vector (dim,) with its level and spread over the bank."""
        scaled = np.asarray(vector * (self._spread / spread), np.float32)
        return VideoQuery(self._calibration.config, scaled, level / spread)


def _weight(exponent: float) -> float:
    return math.exp(min(exponent, _MAX_EXPONENT))
