"""Choose the interpolation of weights and the weight of the word head on validation classes.

Each candidate is ranked by top-1 accuracy among the validation classes, standardised as served.
"""

from collections.abc import Sequence
from dataclasses import replace

from model.calibration import Calibration, CalibrationConfig
from model.encoder.networks import Network
from model.training.data.manifest import Sample
from model.training.features import interpolate
from model.training.measure.figures import SERVED, words_of
from model.training.measure.metrics import hits_at
from model.training.resources import Log
from model.training.shipping.cached_embedder import CachedEmbedder

MIXES = (0.5, 0.75, 1.0, 1.5)
INTERPOLATIONS = (1.0, 0.75, 0.5)  # shares of the distance from the initial weights
_EQUAL_ACCURACY = 0.005  # a candidate must be better by this much to replace an earlier one


def choose_interpolation(
    embedder: CachedEmbedder,
    start: Network,
    background: Sequence[Sample],
    validation: Sequence[Sample],
    log: Log = print,
) -> CachedEmbedder:
    """Choose among networks between `start` and the embedder's own; return the best one's embedder.

    WiSE-FT (Wortsman et al., CVPR 2022). Among equals the one farthest from `start` is chosen.
    """
    best, best_accuracy = embedder, -1.0
    for share in INTERPOLATIONS:
        candidate = embedder
        if share < 1.0:
            candidate = embedder.with_network(interpolate(start, embedder.network, share))
        accuracy = _accuracy(candidate, background, validation)
        log(
            f"interpolation {share} from the initial to the trained weights: "
            f"{100 * accuracy:.1f} % top-1 on the validation classes"
        )
        if accuracy >= best_accuracy + _EQUAL_ACCURACY:
            best, best_accuracy = candidate, accuracy
    return best


def choose_mix(
    embedder: CachedEmbedder,
    background: Sequence[Sample],
    validation: Sequence[Sample],
    log: Log = print,
) -> float:
    """Choose the weight of the word head; the embedder's network keeps the last one tried.

    Among equals the smallest is chosen: what the linear layer learned counts for labels that were
    trained on, which validation does not measure.
    """
    best, best_accuracy = 1.0, -1.0
    for mix in MIXES:
        embedder.network.head.mix.fill_(mix)
        accuracy = _accuracy(embedder, background, validation)
        log(f"word head weight {mix}: {100 * accuracy:.1f} % top-1 on the validation classes")
        if accuracy >= best_accuracy + _EQUAL_ACCURACY:
            best, best_accuracy = mix, accuracy
    return best


def _accuracy(
    embedder: CachedEmbedder, background: Sequence[Sample], validation: Sequence[Sample]
) -> float:
    """Measure top-1 accuracy on the validation samples, standardised over background samples."""
    bank = embedder.embed(background)
    tagger = replace(embedder.tagger, calibration=Calibration(CalibrationConfig(), bank))
    words = words_of(tagger, sorted({sample.label for sample in validation}))
    served = words.similarities(embedder.embed(validation))[SERVED]
    return float(hits_at(served, words.targets(validation), 1).mean())
