"""Choose the handicap of labels that training saw: `nearest_share` of `model.calibration`.

Clips score higher for labels that training saw, so that unseen labels lose when both are ranked
together. The handicap is chosen on validation classes, ranked together with the trained classes of
their own data set.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.calibration import Calibration, CalibrationConfig
from model.tagger import Tagger
from model.training.data.manifest import Sample
from model.training.features import Vectors
from model.training.measure.figures import words_of
from model.training.measure.metrics import Bools, Floats, Ints, hits_at
from model.training.measure.protocols import generalised, harmonic_mean
from model.training.measure.suites import Suite, plan_suites
from model.training.resources import Log
from model.training.words.held_out import SplitSamples

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_MAX_KNOWN = 10  # clips of each trained class


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HandicapTrial:
    """Clips of trained and of validation classes, ranked among the labels of both.

    `embeddings` (N, D) and `prototypes` (C, D) are float32 unit vectors, `targets` (N,) the rows of
    the correct labels; `is_seen` (C,) marks the trained labels.
    """

    embeddings: Vectors
    targets: Ints
    prototypes: Vectors
    is_seen: Bools


def handicap_suites(samples: SplitSamples) -> list[Suite]:
    """Plan suites of data sets that have validation classes (as `test`) and trained clips.

    Clips of test classes and of labels without training samples are left out.
    """
    held_out = samples.held_out
    trained = {sample.label for sample in samples.training}
    usable = [s for s in samples.every if s.label in trained or s.label in held_out.validation]
    as_test = replace(held_out, test=held_out.validation, validation=())
    suites, _ = plan_suites(usable, as_test, max_known=_MAX_KNOWN)
    return [suite for suite in suites if suite.known]


def trial_of(
    tagger: Tagger, suite: Suite, embed: Callable[[Sequence[Sample]], Vectors]
) -> HandicapTrial:
    """Embed a suite's clips with `embed` and its labels with the tagger."""
    clips = (*suite.test, *suite.known)
    words = words_of(tagger, suite.labels)
    is_seen = np.array([label in suite.seen for label in suite.labels])
    return HandicapTrial(embed(clips), words.targets(clips), words.vectors, is_seen)


def choose_share(trials: Sequence[HandicapTrial], bank: Vectors, log: Log = print) -> float:
    """Choose the share with the best harmonic mean of seen and unseen accuracy over all trials.

    A trial is weighted by its number of unseen labels, because few labels measure little. A share
    is eligible only if it costs nothing compared with share 0: neither accuracy of seen classes
    among all labels (measured on trained clips; new clips would lose more) nor accuracy of unseen
    classes among themselves. `bank` (M, D) is the background bank. Returns 0 without trials.
    """
    chosen, best = 0.0, -1.0
    at_zero: Floats = np.zeros(2)
    for share in SHARES if trials else ():
        calibration = Calibration(CalibrationConfig(nearest_share=share), bank)
        figures = np.average(
            [_figures(trial, calibration) for trial in trials],
            axis=0,
            weights=[np.count_nonzero(~trial.is_seen) for trial in trials],
        )
        *kept, mean = figures.tolist()
        log(
            f"handicap {share:g}: harmonic mean of seen and unseen {100 * mean:.1f} %, "
            f"seen {100 * kept[0]:.1f} %, unseen alone {100 * kept[1]:.1f} %"
        )
        at_zero = at_zero if share else figures[:2]
        if (figures[:2] >= at_zero).all() and mean > best:
            chosen, best = share, mean
    return chosen


def _figures(trial: HandicapTrial, calibration: Calibration) -> tuple[float, float, float]:
    """Accuracy of seen classes, of unseen ones among themselves, and the mean among all."""
    level, spread = calibration.background_of(trial.prototypes).T
    ranked: Floats = (trial.embeddings @ trial.prototypes.T - level) / spread
    seen, unseen = generalised(ranked, trial.targets, trial.is_seen).at(0.0)
    columns = np.flatnonzero(~trial.is_seen)
    rows = ~trial.is_seen[trial.targets]
    targets = np.searchsorted(columns, trial.targets[rows])
    alone = float(hits_at(ranked[rows][:, columns], targets, 1).mean())
    return seen, alone, harmonic_mean(seen, unseen)
