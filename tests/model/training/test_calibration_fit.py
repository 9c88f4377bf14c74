"""What a fitted calibration states of itself holds on the data that it was fitted on."""

import numpy as np
import pytest

from model.calibration import Calibration
from model.training.calibrate import fit

CLASSES, SAMPLES = 24, 600


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_unknown_is_said_wrongly_at_the_stated_rate(rate: float) -> None:
    rng = np.random.default_rng(0)
    own = rng.integers(CLASSES, size=SAMPLES)
    standardised = rng.standard_normal((SAMPLES, CLASSES)).astype(np.float32)
    standardised[np.arange(SAMPLES), own] += 2.5

    config = fit(standardised, own, false_positive_rate=rate)

    # sets of other draws than those of the fit, each with the samples' own class
    calibration = Calibration(config)
    said, asked = 0, 0
    for _ in range(400):
        chosen = rng.choice(CLASSES, int(rng.integers(2, CLASSES // 2 + 1)), replace=False)
        known = np.flatnonzero(np.isin(own, chosen))
        best = standardised[np.ix_(known, chosen)].max(axis=1)
        scores = [calibration.unknown_score(float(value), len(chosen)) for value in best]
        said += sum(score > config.unknown_limit for score in scores)
        asked += len(scores)
    assert config.unknown_false_positive_rate == rate
    assert said / asked == pytest.approx(rate, abs=0.2 * rate)
