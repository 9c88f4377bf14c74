"""Fit a checkpoint's scores: the background bank and the parameters of `model.calibration`.

The parameters are fitted on validation samples, whose classes training never saw. Test classes are
used neither by training nor here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional

from model.calibration import CalibrationConfig
from model.training.data.manifest import Sample
from model.training.measure.label_sets import LabelSets, draw_label_sets
from model.training.measure.metrics import Floats, Ints

BANK_SIZE = 1024
_RANDOM_SETS = 5_000
# Weight of the scores after the first in the fit, all together; the first score has 1, as unknown.
_OTHERS_WEIGHT = 0.5
# Numbers that are optimised: logarithm of the slope, bias, logit of the rivalry, reference bias,
# exponent of the set's size.
# The fit starts at each of these points, because the objective may have several minima.
_STARTS = ((0.0, -2.0, 0.0, -3.0, 0.0), (0.7, -4.0, 1.0, -6.0, 0.3))
# Where similarities separate all samples, the best slope would be infinite.
_BOUNDS = ((-5.0, 4.0), (-100.0, 100.0), (-15.0, 15.0), (-100.0, 100.0), (0.0, 2.0))
# Logarithm that stands for that of 0; its exponential is 0, and it has gradients.
_LOG_ZERO = -1e9


def draw_bank(
    samples: Sequence[Sample], temper: float, seed: int, size: int = BANK_SIZE
) -> list[int]:
    """Draw the rows of at most `size` training samples, sources weighted by size ** `temper`."""
    sources = np.array([sample.source for sample in samples])
    _, inverse, counts = np.unique(sources, return_inverse=True, return_counts=True)
    weights = counts[inverse] ** (temper - 1.0)
    rng = np.random.default_rng([seed, 1])
    size = min(size, len(samples))
    return sorted(rng.choice(len(samples), size, replace=False, p=weights / weights.sum()).tolist())


def fit(
    standardised: Floats,
    targets: Ints,
    references: Floats | None = None,
    *,
    fitted_on: str = "",
    nearest_share: float = 0.0,
    false_positive_rate: float = 0.05,
    seed: int = 0,
) -> CalibrationConfig:
    """Fit parameters to (N, C) standardised similarities of validation samples to C labels, C >= 2.

    `targets` (N,) is each sample's label. `references` (N, A) are the standardised similarities to
    the reference actions, None where the checkpoint has none. Over random sets of labels, the score
    of a set's first tag estimates whether it is right, as do those of the others, and `unknown`
    whether the right label is missing. `unknown_limit` rejects `false_positive_rate` of the sets
    with the right label. `nearest_share` is the value that the similarities were standardised with;
    `fitted_on` describes the samples.
    """
    sets = draw_label_sets(standardised, targets, _RANDOM_SETS, np.random.default_rng([seed, 2]))
    objective = _Objective.of(sets, references)
    best = min((objective.minimised(start) for start in _STARTS), key=lambda found: found[1])[0]
    numbers = torch.from_numpy(best)
    with torch.no_grad():
        unknown = objective.log_odds(numbers)[1].sigmoid().numpy()
    return CalibrationConfig(
        score_slope=float(np.exp(best[0])),
        score_bias=float(best[1]),
        reference_bias=float(best[3]) if objective.has_references else 0.0,
        rivalry=float(numbers[2].sigmoid()),
        size_exponent=float(best[4]),
        unknown_limit=float(np.quantile(unknown[sets.known], 1.0 - false_positive_rate)),
        unknown_false_positive_rate=false_positive_rate,
        nearest_share=nearest_share,
        fitted_on=fitted_on,
    )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Objective:
    """The mean cross-entropy of the scores over K sets, as a function of five numbers (`_STARTS`).

    `best` (K, R) float64 are the similarities of each set's best labels, 0 where `present` is
    false; `correct` (K, R) and `missing` (K,) are 0 or 1, the true values of scores and unknown.
    `references` (N, A) float64, A may be 0; `rows` (K,) is each set's sample,
    `log_sizes` (K,) float64 the logarithm of its number of labels.
    """

    best: Tensor
    present: Tensor
    correct: Tensor
    missing: Tensor
    references: Tensor
    rows: Tensor
    log_sizes: Tensor

    @classmethod
    def of(cls, sets: LabelSets, references: Floats | None) -> "_Objective":
        present = np.isfinite(sets.best)
        if references is None:
            references = np.empty((sets.rows.max() + 1, 0))
        return cls(
            torch.from_numpy(np.where(present, sets.best, 0.0)),
            torch.from_numpy(present),
            torch.from_numpy(sets.correct.astype(np.float64)),
            torch.from_numpy((~sets.known).astype(np.float64)),
            torch.from_numpy(references.astype(np.float64)),
            torch.from_numpy(sets.rows),
            torch.from_numpy(np.log(sets.sizes)),
        )

    @property
    def has_references(self) -> bool:
        return self.references.shape[1] > 0

    def minimised(self, start: Sequence[float]) -> tuple[npt.NDArray[np.float64], float]:
        """Return the numbers of the minimum near `start`, and the value there."""
        found = minimize(self._value, np.array(start), jac=True, method="L-BFGS-B", bounds=_BOUNDS)
        return found.x, float(found.fun)

    def _value(self, numbers: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        """Compute the objective and its gradient (5,)."""
        variables = torch.tensor(numbers, requires_grad=True)
        scores, unknown = self.log_odds(variables)
        entropies = functional.binary_cross_entropy_with_logits(
            scores, self.correct, weight=self._weights, reduction="sum"
        )
        entropies = entropies / len(self.rows)
        entropies = entropies + functional.binary_cross_entropy_with_logits(unknown, self.missing)
        [gradient] = torch.autograd.grad(entropies, variables)
        return entropies.item(), gradient.numpy()

    @property
    def _weights(self) -> Tensor:
        """Weight of each score, (K, R): 1 for the first of a set, 0 for a missing one."""
        weights = self.present.double() * _OTHERS_WEIGHT
        weights[:, 0] = 1.0
        return weights

    def log_odds(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the log odds of the scores, (K, R), and of unknown, (K,).

        These are the formulas of `model.calibration` in logarithms, which cannot overflow.
        """
        slope, bias = numbers[0].exp(), numbers[1]
        weights = (slope * self.best + bias).masked_fill(~self.present, _LOG_ZERO)
        none = self._log_none(slope, numbers[3])[self.rows] + numbers[4] * self.log_sizes
        largest = weights.amax(dim=1, keepdim=True).detach()
        shares = (weights - largest).exp()
        others = (shares.sum(dim=1, keepdim=True) - shares).clamp(min=1e-300).log() + largest
        against = torch.logaddexp(none[:, None], functional.logsigmoid(numbers[2]) + others)
        return weights - against, none - weights.logsumexp(dim=1)

    def _log_none(self, slope: Tensor, reference_bias: Tensor) -> Tensor:
        """Compute the logarithm of each sample's weight of "none of the labels", (N,)."""
        zero = self.references.new_zeros(len(self.references))
        if not self.has_references:
            return zero
        return torch.logaddexp(zero, (slope * self.references).logsumexp(dim=1) + reference_bias)
