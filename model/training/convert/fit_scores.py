"""Scores of a checkpoint that was not trained here: a background bank and what is fitted on it."""

from collections.abc import Callable, Sequence
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

# sources are drawn by the square root of their size, so that a large one is not the whole bank
_TEMPER = 0.5
# of fewer, every random set holds a sample's own
_FEWEST_LABELS = 4

RAW_SCORES = """There is no background bank, and no data stand behind the scores: compare them,
do not read them as probabilities."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scores:
    """A background bank (M, dim), the parameters fitted with it, and what the card says of them."""

    bank: Tensor
    calibration: CalibrationConfig
    sentence: str


def save_with_scores(
    out: Path,
    config: CheckpointConfig,
    network: Network,
    card: Callable[[CheckpointConfig, str], str],
    manifests: Sequence[Path] = (),
    *,
    device: str = "cpu",
    log: Log = print,
) -> Path:
    """Write a checkpoint that is not centred, its scores fitted on `manifests` where there are any.

    `card` makes the model card of what is written and a sentence about the scores. Returns `out`;
    raises what `fit_scores` raises.
    """
    dim = config.encoder.dim
    zero, none = torch.zeros(dim), torch.empty(0, dim)
    # as it is, because scores are fitted on a checkpoint
    save_checkpoint(out, config, network, text_mean=zero, bank=none, card=card(config, RAW_SCORES))
    if manifests:
        scores = fit_scores(out, manifests, device=device, log=log)
        fitted = replace(config, calibration=scores.calibration)
        text = card(fitted, scores.sentence)
        save_checkpoint(out, fitted, network, text_mean=zero, bank=scores.bank, card=text)
    return out


def fit_scores(
    directory: Path,
    manifests: Sequence[Path],
    *,
    device: str = "cpu",
    seed: int = 0,
    log: Log = print,
) -> Scores:
    """Bank and scores of the checkpoint in `directory` from samples of these manifests.

    At most 1,024 samples are embedded. Raises CheckpointError, ManifestError, and ValueError when
    no sample can be read or too few labels are named to fit anything.
    """
    samples = [sample for manifest in manifests for sample in read_manifest(manifest)]
    tagger = load_checkpoint(directory, device=device)
    chosen = [samples[row] for row in draw_bank(samples, _TEMPER, seed)] if samples else []
    log(f"embedding {len(chosen)} samples for the background bank")
    embedded = embed_readable(tagger, chosen)
    labelled = embedded.select(lambda sample: bool(sample.label))
    names = sorted({sample.label for sample in labelled.samples})
    if len(names) < _FEWEST_LABELS:
        raise ValueError(
            f"a bank needs samples of {_FEWEST_LABELS} labels that can be read, not {len(names)}"
        )
    banked = replace(tagger, calibration=Calibration(CalibrationConfig(), embedded.vectors))
    prototypes = banked.prototypes([Label(name) for name in names])
    vectors = np.concatenate([made.vectors for made in prototypes])
    background = np.concatenate([made.background for made in prototypes])
    similarities = (labelled.vectors @ vectors.T - background[:, 0]) / background[:, 1]
    own = np.array([names.index(sample.label) for sample in labelled.samples])
    sources = ", ".join(f"{path.parent.name}/{path.name}" for path in manifests)
    return Scores(
        torch.from_numpy(embedded.vectors),
        fit(similarities, own, seed=seed),
        f"The background bank is {len(embedded.samples)} samples of {sources}; scores were fitted\n"
        f"on the {len(names)} labels of the same samples.",
    )
