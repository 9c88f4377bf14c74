"""How far labels that training saw are handicapped: `nearest_share` of `model.calibration`.

Asked of validation classes beside the trained classes of their own data set, where unseen labels
drown otherwise.
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
from model.training.words.texts import HeldOut

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_MOST_KNOWN = 10  # clips of each trained class


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Question:
    """Clips of trained and of validation classes, asked among the labels of both.

    `embeddings` (N, D) and `prototypes` (C, D) are unit vectors, `targets` (N,) the labels that are
    right, `is_seen` (C,) marks the trained ones.
    """

    embeddings: Vectors
    targets: Ints
    prototypes: Vectors
    is_seen: Bools


def fairness_suites(
    samples: Sequence[Sample], held_out: HeldOut, all_samples: Sequence[Sample]
) -> list[Suite]:
    """Data sets with validation classes (as their suites' `test`) and clips that were trained on.

    Clips of test classes, and of labels that `samples` (trained on) lack, are in none.
    """
    trained = {sample.label for sample in samples}
    asked = [s for s in all_samples if s.label in trained or s.label in held_out.validation]
    asking = replace(held_out, test=held_out.validation, validation=())
    suites, _ = plan_suites(asked, asking, most_known=_MOST_KNOWN)
    return [suite for suite in suites if suite.known]


def question_of(
    tagger: Tagger, suite: Suite, embed: Callable[[Sequence[Sample]], Vectors]
) -> Question:
    """The question of a suite, its labels embedded by the tagger."""
    clips = (*suite.test, *suite.known)
    words = words_of(tagger, suite.labels)
    is_seen = np.array([label in suite.seen for label in suite.labels])
    return Question(embed(clips), words.targets(clips), words.vectors, is_seen)


def choose_share(
    questions: Sequence[Question], bank: Vectors, say: Callable[[str], None] = print
) -> float:
    """The share with the best harmonic mean of seen and unseen accuracy, over all questions.

    A question counts as often as it has unseen labels: what two of them say may be luck. Only
    shares are taken that cost nothing elsewhere, compared with share 0: neither seen classes among
    all labels (whose clips were trained on: new ones would lose more) nor unseen ones among
    themselves. Share 0 without questions.
    """
    chosen, best = 0.0, -1.0
    at_zero: Floats = np.zeros(2)
    for share in SHARES if questions else ():
        calibration = Calibration(CalibrationConfig(nearest_share=share), bank)
        figures = np.average(
            [_figures(question, calibration) for question in questions],
            axis=0,
            weights=[np.count_nonzero(~question.is_seen) for question in questions],
        )
        *kept, mean = figures.tolist()
        say(
            f"levels {share:g} of the way to the nearest clips: harmonic mean of seen and unseen "
            f"{100 * mean:.1f} %, seen {100 * kept[0]:.1f} %, unseen alone {100 * kept[1]:.1f} %"
        )
        at_zero = at_zero if share else figures[:2]
        if (figures[:2] >= at_zero).all() and mean > best:
            chosen, best = share, mean
    return chosen


def _figures(question: Question, calibration: Calibration) -> tuple[float, float, float]:
    """Accuracy of seen classes, of unseen ones among themselves, and the mean among all."""
    level, spread = calibration.background_of(question.prototypes).T
    ranked: Floats = (question.embeddings @ question.prototypes.T - level) / spread
    seen, unseen = generalised(ranked, question.targets, question.is_seen).at(0.0)
    columns = np.flatnonzero(~question.is_seen)
    rows = ~question.is_seen[question.targets]
    own = np.searchsorted(columns, question.targets[rows])
    alone = float(hits_at(ranked[rows][:, columns], own, 1).mean())
    return seen, alone, harmonic_mean(seen, unseen)
