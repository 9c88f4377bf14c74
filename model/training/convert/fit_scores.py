"""Fit the scores of a checkpoint that was not trained here on labelled samples."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from model.calibration import Calibration, CalibrationConfig
from model.checkpoint import load_checkpoint
from model.text.labels import Label
from model.training.calibrate import draw_bank, fit
from model.training.convert.carried_scores import Scores
from model.training.data.manifest import read_manifest
from model.training.measure.sample_embeddings import embed_readable
from model.training.resources import Log

# sources are weighted by the square root of their size, so that no large one fills the bank
_TEMPER = 0.5
# with fewer, every random set of labels contains the sample's own
_MIN_LABELS = 4


def fit_scores(
    directory: Path, manifests: Sequence[Path], *, device: str, log: Log, seed: int = 0
) -> Scores:
    """Fit the scores of the checkpoint in `directory` to samples of manifests.

    At most 1,024 samples are embedded. Raises CheckpointError, ManifestError, and ValueError when
    the samples that can be read have too few labels.
    """
    samples = [sample for manifest in manifests for sample in read_manifest(manifest)]
    tagger = load_checkpoint(directory, device=device)
    chosen = [samples[row] for row in draw_bank(samples, _TEMPER, seed)] if samples else []
    log(f"embedding {len(chosen)} samples for the background bank")
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
    sources = ", ".join(f"{path.parent.name}/{path.name}" for path in manifests)
    fitted_on = f"{len(own)} samples of {len(names)} labels of {sources}"
    return Scores(
        torch.from_numpy(embedded.vectors),
        torch.empty(0, embedded.vectors.shape[1]),
        fit(similarities, own, fitted_on=fitted_on, seed=seed),
        f"The background bank is {len(embedded.samples)} samples of {sources}; scores were fitted\n"
        f"on the {len(names)} labels of the same samples.",
    )
