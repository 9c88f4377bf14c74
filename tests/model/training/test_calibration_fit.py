"""The stated rates of a fitted calibration hold on the data that it was fitted on."""

import numpy as np
import pytest

from model.calibration import Calibration
from model.training.calibrate import fit

CLASSES, SAMPLES = 24, 600


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_known_samples_are_rejected_at_the_stated_rate(rate: float) -> None:
    rng = np.random.default_rng(0)
    own = rng.integers(CLASSES, size=SAMPLES)
    standardised = rng.standard_normal((SAMPLES, CLASSES)).astype(np.float32)
    standardised[np.arange(SAMPLES), own] += 2.5

    config = fit(standardised, own, false_positive_rate=rate)

    # sets of other draws than those of the fit, each with the samples' own class
    calibration = Calibration(config)
    rejected, total = 0, 0
    for _ in range(400):
        chosen = rng.choice(CLASSES, int(rng.integers(2, CLASSES // 2 + 1)), replace=False)
        known = np.flatnonzero(np.isin(own, chosen))
        best = standardised[np.ix_(known, chosen)].max(axis=1)
        scores = [calibration.unknown_score(float(value), len(chosen)) for value in best]
        rejected += sum(score > config.unknown_limit for score in scores)
        total += len(scores)
    assert config.unknown_false_positive_rate == rate
    assert rejected / total == pytest.approx(rate, abs=0.2 * rate)
