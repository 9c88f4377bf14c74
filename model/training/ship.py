"""From a trained network to a checkpoint that can be served: bank, calibration, figures, card."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from model.calibration import Calibration, CalibrationConfig
from model.checkpoint import (
    CheckpointConfig,
    TextConfig,
    load_checkpoint,
    save_checkpoint,
)
from model.encoder import TorchEncoder
from model.tagger import Tagger
from model.text import DEFAULT_TEXT_MODEL, Label, TextEncoder
from model.training.calibrate import draw_bank, fit
from model.training.card import model_card
from model.training.config import TrainConfig, as_document
from model.training.embedding import embed_samples
from model.training.intervals import accuracy_interval
from model.training.manifest import Sample
from model.training.metrics import hits_at
from model.training.texts import HeldOut
from model.training.train import Trained

FEWEST_FOR_CALIBRATION = 2  # classes
MIXES = (0.5, 0.75, 1.0, 1.5)


def ship(
    config: TrainConfig,
    trained: Trained,
    text: TextEncoder,
    *,
    samples: Sequence[Sample],
    held_out: HeldOut,
    all_samples: Sequence[Sample],
    out: Path,
    command: str,
    text_model: str = DEFAULT_TEXT_MODEL,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> Path:
    """Write `out/checkpoint` and return it.

    `samples` were trained on; those of `all_samples` whose label is held out calibrate
    (validation) and are measured (test). Figures are taken from the checkpoint as it is read back.
    """
    directory = out / "checkpoint"
    chosen = [samples[row] for row in draw_bank(samples, config.batch.temper, config.seed)]
    validation = _of(all_samples, held_out.validation)
    fits = len({sample.label for sample in validation}) >= FEWEST_FOR_CALIBRATION
    if config.word_head and fits:
        mix = choose_mix(config, trained, text, chosen, validation, device=device, say=say)
        trained.network.head.mix.fill_(mix)
    tagger = _uncalibrated(config, trained, text, device)
    say("embedding the background bank")
    bank = embed_samples(tagger, chosen)
    tagger = replace(tagger, calibration=Calibration(CalibrationConfig(), bank))

    say("fitting scores on the validation classes")
    calibration = CalibrationConfig()
    if fits:
        _, standardised, own = similarities(tagger, validation)
        calibration = fit(standardised, own, seed=config.seed)

    figures: dict[str, Any] = {}
    document = CheckpointConfig(
        model_id=config.model_id,
        encoder=config.encoder,
        sampling=config.sampling,
        preprocess=config.preprocess,
        text=TextConfig(text_model, text.model_hash, config.templates),
        calibration=calibration,
        provenance={"command": command, "steps": trained.steps, "run": as_document(config)},
    )
    parts = {"text_mean": torch.from_numpy(trained.bank.mean), "bank": torch.from_numpy(bank)}
    save_checkpoint(directory, document, trained.network, **parts, card="")
    say("measuring the test classes")
    served = load_checkpoint(directory, device=device, text=text)
    for name, classes in (("validation", held_out.validation), ("test", held_out.test)):
        if asked := _of(all_samples, classes):
            figures[name] = measure(served, asked)
    document = replace(document, provenance={**document.provenance, "figures": figures})
    sources = sorted({sample.source for sample in samples})
    card = model_card(document, held_out, sources, len(samples))
    save_checkpoint(directory, document, trained.network, **parts, card=card)
    return directory


def choose_mix(
    config: TrainConfig,
    trained: Trained,
    text: TextEncoder,
    background: Sequence[Sample],
    validation: Sequence[Sample],
    *,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> float:
    """The weight of the word head that ranks validation classes best, calibrated as served."""
    best, best_accuracy = 1.0, -1.0
    for mix in MIXES:
        trained.network.head.mix.fill_(mix)
        tagger = _uncalibrated(config, trained, text, device)
        bank = embed_samples(tagger, background)
        banked = replace(tagger, calibration=Calibration(CalibrationConfig(), bank))
        _, standardised, own = similarities(banked, validation)
        accuracy = float(hits_at(standardised, own, 1).mean())
        say(f"word head weighed {mix}: {100 * accuracy:.1f} % of the validation classes right")
        if accuracy > best_accuracy:
            best, best_accuracy = mix, accuracy
    return best


def similarities(
    tagger: Tagger, samples: Sequence[Sample]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Raw and standardised similarities (N, C) of samples to their own classes, and own (N,)."""
    names = sorted({sample.label for sample in samples})
    prototypes = tagger.prototypes([Label(name) for name in names])
    vectors = np.concatenate([p.vectors for p in prototypes])
    background = np.concatenate([p.background for p in prototypes])
    raw = embed_samples(tagger, samples) @ vectors.T
    own = np.array([names.index(sample.label) for sample in samples])
    return raw, (raw - background[:, 0]) / background[:, 1], own


def measure(tagger: Tagger, samples: Sequence[Sample]) -> Mapping[str, Any]:
    """Accuracy among the samples' own classes, raw and calibrated, with 95 % class bootstrap."""
    raw, standardised, own = similarities(tagger, samples)
    figures: dict[str, Any] = {"classes": raw.shape[1], "samples": len(own)}
    for kind, values in (("raw", raw), ("calibrated", standardised)):
        for k in (1, 5):
            share = accuracy_interval(hits_at(values, own, k), own)
            figures[f"{kind}_top{k}"] = [round(v, 4) for v in (share.value, share.low, share.high)]
    return figures


def _uncalibrated(config: TrainConfig, trained: Trained, text: TextEncoder, device: str) -> Tagger:
    return Tagger(
        encoder=TorchEncoder(trained.network, config.dim, device=device),
        text=text,
        templates=config.templates,
        text_mean=trained.bank.mean,
        preprocess=config.preprocess,
        sampling=config.sampling,
        calibration=Calibration(CalibrationConfig()),
        model_id=config.model_id,
        revision="unsaved",
        device=device,
    )


def _of(samples: Sequence[Sample], classes: Sequence[str]) -> list[Sample]:
    return [sample for sample in samples if sample.label in classes]
