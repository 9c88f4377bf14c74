"""The calibration of a checkpoint, fitted on the validation classes of its run."""

from dataclasses import replace

from model.calibration import Calibration, CalibrationConfig
from model.training.calibrate import fit
from model.training.features import Vectors
from model.training.measure.figures import SERVED, words_of
from model.training.measure.seen_label_handicap import choose_share, handicap_suites, trial_of
from model.training.resources import Log
from model.training.shipping.cached_embedder import CachedEmbedder
from model.training.words.held_out import SplitSamples


def fit_calibration(
    embedder: CachedEmbedder, bank: Vectors, samples: SplitSamples, *, seed: int, log: Log
) -> CalibrationConfig:
    """Choose the handicap of seen labels, then fit scores over the background `bank` (M, D)."""
    trials = [
        trial_of(embedder.tagger, suite, embedder.embed) for suite in handicap_suites(samples)
    ]
    share = choose_share(trials, bank, log)
    calibration = Calibration(CalibrationConfig(nearest_share=share), bank)
    validation = samples.validation
    labels = sorted({sample.label for sample in validation})
    words = words_of(replace(embedder.tagger, calibration=calibration), labels)
    standardised = words.similarities(embedder.embed(validation))[SERVED]
    return fit(
        standardised,
        words.targets(validation),
        fitted_on=f"{len(validation)} validation samples of {len(labels)} labels that training "
        "did not see",
        nearest_share=share,
        seed=seed,
    )
