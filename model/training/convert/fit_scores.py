"""Fit the scores of a checkpoint that was not trained here: background bank and calibration."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.calibration import Calibration, CalibrationConfig
from model.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint
from model.encoder.networks import Network
from model.text.labels import Label
from model.training.calibrate import draw_bank, fit
from model.training.data.manifest import read_manifest
from model.training.measure.sample_embeddings import embed_readable
from model.training.resources import Log

# sources are weighted by the square root of their size, so that no large one fills the bank
_TEMPER = 0.5
# with fewer, every random set of labels contains the sample's own
_MIN_LABELS = 4

RAW_SCORES = """There is no background bank, and no data stand behind the scores: compare them,
do not read them as probabilities."""


@dataclass(frozen=True, slots=True)
class ScoreFit:
    """The manifests that scores are fitted on, none for no fitting, and the device to embed on."""

    manifests: tuple[Path, ...] = ()
    device: str = "cpu"
    log: Log = print


NO_SCORE_FIT = ScoreFit()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scores:
    """A background bank (M, dim), the fitted calibration, and a sentence for the model card."""

    bank: Tensor
    calibration: CalibrationConfig
    sentence: str


def save_with_scores(
    out: Path,
    config: CheckpointConfig,
    network: Network,
    card: Callable[[CheckpointConfig, str], str],
    score_fit: ScoreFit,
) -> Path:
    """Write a checkpoint without centring; fit its scores as `score_fit` specifies.

    `card` renders the model card from the configuration and a sentence about the scores. Returns
    `out`. Raises the errors of `fit_scores`.
    """
    dim = config.encoder.dim
    zero, none = torch.zeros(dim), torch.empty(0, dim)
    # first without scores, because they are fitted with the checkpoint as it is loaded
    save_checkpoint(out, config, network, text_mean=zero, bank=none, card=card(config, RAW_SCORES))
    if score_fit.manifests:
        scores = fit_scores(out, score_fit)
        fitted = replace(config, calibration=scores.calibration)
        text = card(fitted, scores.sentence)
        save_checkpoint(out, fitted, network, text_mean=zero, bank=scores.bank, card=text)
    return out


def fit_scores(directory: Path, score_fit: ScoreFit, *, seed: int = 0) -> Scores:
    """Fit the scores of the checkpoint in `directory` to samples of manifests.

    At most 1,024 samples are embedded. Raises CheckpointError, ManifestError, and ValueError when
    the samples that can be read have too few labels.
    """
    samples = [sample for manifest in score_fit.manifests for sample in read_manifest(manifest)]
    tagger = load_checkpoint(directory, device=score_fit.device)
    chosen = [samples[row] for row in draw_bank(samples, _TEMPER, seed)] if samples else []
    score_fit.log(f"embedding {len(chosen)} samples for the background bank")
    embedded = embed_readable(tagger, chosen)
    labelled = embedded.select(lambda sample: bool(sample.label))
    names = sorted({sample.label for sample in labelled.samples})
    if len(names) < _MIN_LABELS:
        raise ValueError(
            f"scores need readable samples of at least {_MIN_LABELS} labels, not {len(names)}"
        )
    banked = replace(tagger, calibration=Calibration(CalibrationConfig(), embedded.vectors))
    prototypes = banked.prototypes([Label(name) for name in names])
    vectors = np.concatenate([made.vectors for made in prototypes])
    background = np.concatenate([made.background for made in prototypes])
    similarities = (labelled.vectors @ vectors.T - background[:, 0]) / background[:, 1]
    own = np.array([names.index(sample.label) for sample in labelled.samples])
    sources = ", ".join(f"{path.parent.name}/{path.name}" for path in score_fit.manifests)
    fitted_on = f"{len(own)} samples of {len(names)} labels of {sources}"
    return Scores(
        torch.from_numpy(embedded.vectors),
        fit(similarities, own, fitted_on=fitted_on, seed=seed),
        f"The background bank is {len(embedded.samples)} samples of {sources}; scores were fitted\n"
        f"on the {len(names)} labels of the same samples.",
    )
