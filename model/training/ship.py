"""Write a trained network as a checkpoint that can be served."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from model.calibration import CalibrationConfig
from model.checkpoint import CheckpointConfig, TextConfig, load_checkpoint, save_checkpoint
from model.text.source import carry_text_model
from model.text.text_encoder import TextEncoder
from model.training.calibrate import draw_bank
from model.training.config import TrainConfig, as_document
from model.training.data.manifest import Sample
from model.training.lineage import provenance_before
from model.training.resources import TrainingResources
from model.training.shipping.accuracy_figures import figures_of_classes
from model.training.shipping.cached_embedder import CachedEmbedder, feature_tagger
from model.training.shipping.card import model_card
from model.training.shipping.score_calibration import fit_calibration
from model.training.shipping.validation_choices import choose_interpolation, choose_mix
from model.training.train import Trained
from model.training.words.held_out import SplitSamples

MIN_CALIBRATION_CLASSES = 3  # a random set that lacks one class must still offer a choice


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Shipment:
    """Everything that a checkpoint is made from.

    Choices and calibration use the validation samples, figures the test samples. `text_model` is
    the name or folder that `text` was loaded from; `command` is quoted in the model card.
    """

    config: TrainConfig
    trained: Trained
    samples: SplitSamples
    text: TextEncoder
    text_model: str
    command: str

    @property
    def can_calibrate(self) -> bool:
        """Whether there are enough validation classes to choose and calibrate with."""
        labels = {sample.label for sample in self.samples.validation}
        return len(labels) >= MIN_CALIBRATION_CLASSES


def ship(shipment: Shipment, out: Path, resources: TrainingResources) -> Path:
    """Write `out/checkpoint` and return it.

    Figures are measured on the checkpoint as it is read back from disk. Raises CheckpointError
    when the checkpoint that the run started from cannot be read any more.
    """
    directory, log = out / "checkpoint", resources.log
    config, samples = shipment.config, shipment.samples
    rows = draw_bank(samples.training, config.batch.temper, config.seed)
    background = [samples.training[row] for row in rows]

    embedder = _chosen_network(shipment, background, resources)
    log("embedding the background bank")
    bank = embedder.embed(background)
    calibration = CalibrationConfig()
    if shipment.can_calibrate:
        log("fitting scores on the validation classes")
        calibration = fit_calibration(embedder, bank, samples, seed=config.seed, log=log)

    document = _document(shipment, calibration, directory)
    save = partial(
        save_checkpoint,
        text_mean=torch.from_numpy(shipment.trained.bank.mean),
        bank=torch.from_numpy(bank),
    )
    save(directory, document, embedder.network, card="")
    log("measuring the test classes")
    served = load_checkpoint(directory, device=resources.device, text=shipment.text)
    figures = figures_of_classes(served, samples)
    document = replace(document, provenance={**document.provenance, "figures": figures})
    sources = sorted({sample.source for sample in samples.training})
    card = model_card(document, samples.held_out, sources, len(samples.training))
    save(directory, document, embedder.network, card=card)
    return directory


def _chosen_network(
    shipment: Shipment, background: list[Sample], resources: TrainingResources
) -> CachedEmbedder:
    """Choose interpolation and word head weight of the trained network on validation samples."""
    config, trained, log = shipment.config, shipment.trained, resources.log
    validation = shipment.samples.validation
    tagger = feature_tagger(
        config, trained.network, shipment.text, trained.bank.mean, resources.device
    )
    embedder = CachedEmbedder(tagger, trained.network)
    if not shipment.can_calibrate:
        return embedder
    if config.interpolated:
        log("choosing the interpolation of the weights on the validation classes")
        embedder = choose_interpolation(embedder, trained.start, background, validation, log)
    if config.word_head:
        log("choosing the weight of the word head on the validation classes")
        embedder.network.head.mix.fill_(choose_mix(embedder, background, validation, log))
    return embedder


def _document(
    shipment: Shipment, calibration: CalibrationConfig, directory: Path
) -> CheckpointConfig:
    """Build the configuration without figures; copy the text model into `directory`."""
    config, text = shipment.config, shipment.text
    model = carry_text_model(shipment.text_model, text, directory)
    return CheckpointConfig(
        model_id=config.model_id,
        encoder=config.encoder,
        sampling=config.sampling,
        preprocess=config.preprocess,
        text=TextConfig(model, text.model_hash, config.templates),
        calibration=calibration,
        provenance={
            "command": shipment.command,
            "steps": shipment.trained.steps,
            "run": as_document(config),
            **provenance_before(config.init),
        },
    )
