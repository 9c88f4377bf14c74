"""From a trained network to a checkpoint that can be served: bank, calibration, figures, card."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.calibration import Calibration, CalibrationConfig
from model.checkpoint import (
    CheckpointConfig,
    TextConfig,
    load_checkpoint,
    save_checkpoint,
)
from model.encoder.networks import Network
from model.tagger import Tagger
from model.text.pretrained import DEFAULT_TEXT_MODEL
from model.text.source import carry_text_model
from model.text.text_encoder import TextEncoder
from model.training.calibrate import draw_bank, fit
from model.training.card import model_card
from model.training.config import TrainConfig, as_document
from model.training.data.manifest import Sample
from model.training.features import FeatureEncoder, Vectors, apply_head, between
from model.training.lineage import provenance_before
from model.training.measure.fairness import choose_share, fairness_suites, question_of
from model.training.measure.figures import RAW, SERVED, words_of
from model.training.measure.intervals import accuracy_interval
from model.training.measure.metrics import hits_at
from model.training.measure.sample_embeddings import embed_samples
from model.training.train import Trained
from model.training.words.texts import HeldOut

FEWEST_FOR_CALIBRATION = 3  # classes: a set that lacks one must still be a choice
MIXES = (0.5, 0.75, 1.0, 1.5)
WAYS = (1.0, 0.75, 0.5)  # from the start of a run to its end
_AS_GOOD = 0.005  # accuracies that differ by less are taken for equal


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
    Raises CheckpointError when what the run started from cannot be read any more.
    """
    directory = out / "checkpoint"
    chosen = [samples[row] for row in draw_bank(samples, config.batch.temper, config.seed)]
    validation = _of(all_samples, held_out.validation)
    names = sorted({sample.label for sample in validation})
    fits = len(names) >= FEWEST_FOR_CALIBRATION
    tagger = _uncalibrated(config, trained.network, trained.bank.mean, text, device)
    look = _Look(tagger, trained.network)
    if config.interpolated and fits:
        say("asking the validation classes how far the weights should go")
        look = choose_way(look, trained.start, chosen, validation, say=say)
    network = look.network
    if config.word_head and fits:
        say("weighing the word head on the validation classes")
        network.head.mix.fill_(choose_mix(look, chosen, validation, say=say))
    say("embedding the background bank")
    bank = look(chosen)

    calibration = CalibrationConfig()
    if fits:
        say("fitting scores on the validation classes")
        suites = fairness_suites(samples, held_out, all_samples)
        questions = [question_of(tagger, suite, look) for suite in suites]
        share = choose_share(questions, bank, say)
        calibration = CalibrationConfig(nearest_share=share)
        words = words_of(calibrated(tagger, calibration, bank), names)
        ranked = words.similarities(look(validation))[SERVED]
        calibration = fit(ranked, words.targets(validation), nearest_share=share, seed=config.seed)

    figures: dict[str, Any] = {}
    document = CheckpointConfig(
        model_id=config.model_id,
        encoder=config.encoder,
        sampling=config.sampling,
        preprocess=config.preprocess,
        text=TextConfig(
            carry_text_model(text_model, text, directory), text.model_hash, config.templates
        ),
        calibration=calibration,
        provenance={
            "command": command,
            "steps": trained.steps,
            "run": as_document(config),
            **provenance_before(config.init),
        },
    )
    parts = {"text_mean": torch.from_numpy(trained.bank.mean), "bank": torch.from_numpy(bank)}
    save_checkpoint(directory, document, network, **parts, card="")
    say("measuring the test classes")
    served = load_checkpoint(directory, device=device, text=text)
    for name, classes in (("validation", held_out.validation), ("test", held_out.test)):
        if asked := _of(all_samples, classes):
            figures[name] = measure(served, asked)
    document = replace(document, provenance={**document.provenance, "figures": figures})
    sources = sorted({sample.source for sample in samples})
    card = model_card(document, held_out, sources, len(samples))
    save_checkpoint(directory, document, network, **parts, card=card)
    return directory


def choose_way(
    look: "_Look",
    start: Network,
    background: Sequence[Sample],
    validation: Sequence[Sample],
    *,
    say: Callable[[str], None] = print,
) -> "_Look":
    """The network between `start` and the look's that ranks validation classes best.

    WiSE-FT (Wortsman et al., CVPR 2022). Of equals the one that went farthest.
    """
    best, best_accuracy = look, -1.0
    for way in WAYS:
        other = look.of(between(start, look.network, way)) if way < 1.0 else look
        accuracy = _accuracy(other, background, validation)
        say(f"weights {way} of the way: {100 * accuracy:.1f} % of the validation classes right")
        if accuracy >= best_accuracy + _AS_GOOD:
            best, best_accuracy = other, accuracy
    return best


def choose_mix(
    look: "_Look",
    background: Sequence[Sample],
    validation: Sequence[Sample],
    *,
    say: Callable[[str], None] = print,
) -> float:
    """The weight of the word head that ranks validation classes best, standardised as served.

    The smallest of equals: what the linear layer learned counts for labels that were trained on.
    """
    best, best_accuracy = 1.0, -1.0
    for mix in MIXES:
        look.network.head.mix.fill_(mix)
        accuracy = _accuracy(look, background, validation)
        say(f"word head weighed {mix}: {100 * accuracy:.1f} % of the validation classes right")
        if accuracy >= best_accuracy + _AS_GOOD:
            best, best_accuracy = mix, accuracy
    return best


def _accuracy(look: "_Look", background: Sequence[Sample], validation: Sequence[Sample]) -> float:
    """Share of the validation samples whose class comes first, standardised as served."""
    banked = calibrated(look.tagger, CalibrationConfig(), look(background))
    words = words_of(banked, sorted({sample.label for sample in validation}))
    served = words.similarities(look(validation))[SERVED]
    return float(hits_at(served, words.targets(validation), 1).mean())


class _Look:
    """Embeddings of samples under the network's head as it stands; features are taken once.

    `tagger` embeds clips as the network's features.
    """

    def __init__(self, tagger: Tagger, network: Network) -> None:
        self.network = network
        self.tagger = tagger
        self._features: dict[Sample, Vectors] = {}

    def __call__(self, samples: Sequence[Sample]) -> Vectors:
        """(N, D) float32 unit; raises VideoError for a sample that cannot be read."""
        missing = [sample for sample in samples if sample not in self._features]
        self._features.update(zip(missing, embed_samples(self.tagger, missing), strict=True))
        features = np.stack([self._features[sample] for sample in samples])
        return apply_head(copy.deepcopy(self.network.head).cpu(), features)

    def of(self, network: Network) -> "_Look":
        """The same with another network."""
        encoder = FeatureEncoder(network, device=self.tagger.device)
        return _Look(replace(self.tagger, encoder=encoder), network)


def measure(tagger: Tagger, samples: Sequence[Sample]) -> Mapping[str, Any]:
    """Accuracy among the samples' own classes, raw and calibrated, with 95 % class bootstrap."""
    words = words_of(tagger, sorted({sample.label for sample in samples}))
    by_kind = words.similarities(embed_samples(tagger, samples))
    own = words.targets(samples)
    figures: dict[str, Any] = {"classes": len(words.labels), "samples": len(own)}
    for name, kind in (("raw", RAW), ("calibrated", SERVED)):
        for k in (1, 5):
            share = accuracy_interval(hits_at(by_kind[kind], own, k), own)
            figures[f"{name}_top{k}"] = [round(v, 4) for v in (share.value, share.low, share.high)]
    return figures


def calibrated(tagger: Tagger, config: CalibrationConfig, bank: Vectors) -> Tagger:
    """The tagger with labels measured against a bank."""
    return replace(tagger, calibration=Calibration(config, bank))


def _uncalibrated(
    config: TrainConfig, network: Network, mean: Vectors, text: TextEncoder, device: str
) -> Tagger:
    """A tagger that embeds clips as features, before the head."""
    return Tagger(
        encoder=FeatureEncoder(network, device=device),
        text=text,
        templates=config.templates,
        text_mean=mean,
        preprocess=config.preprocess,
        sampling=config.sampling,
        calibration=Calibration(CalibrationConfig()),
        model_id=config.model_id,
        revision="unsaved",
        device=device,
    )


def _of(samples: Sequence[Sample], classes: Sequence[str]) -> list[Sample]:
    return [sample for sample in samples if sample.label in classes]
