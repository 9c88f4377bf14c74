"""Refine a trained checkpoint: the way from its weights to one that can be served.

Weights between ImageNet's and the trained ones (WiSE-FT) keep what both know; a linear layer is
fitted on their features; knowledge as text says what the word head's classes mean for a label;
levels and scores are fitted on everyday videos, which nothing else is fitted on. Everything but the
scores is done twice: without the held-out classes, for figures, and with them, for the checkpoint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from model.calibration import CalibrationConfig
from model.checkpoint import (
    WEIGHTS_FILE,
    CheckpointConfig,
    TextConfig,
    read_config,
    read_tensors,
    save_checkpoint,
)
from model.encoder.networks import EncoderConfig, Network, build_network
from model.errors import CheckpointError
from model.text.source import TEXT_FOLDER, carry_text_model, load_text_encoder
from model.text.text_encoder import TextEncoder
from model.training.compare.feature_cache import DiskFeatureCache, FrozenBackbone
from model.training.convert.imagenet import imagenet_weights
from model.training.data.manifest import Sample, read_manifest
from model.training.features import interpolate
from model.training.knowledge.knowledge_files import ACTIONS_FILE, CLASSES_FILE, FOLDER
from model.training.progress import Progress, no_progress
from model.training.refine.card import refined_card
from model.training.refine.everyday import (
    everyday_figures,
    everyday_similarities,
    fit_everyday_scores,
)
from model.training.refine.parts import Parts, fit_parts
from model.training.refine.samples import RefineSamples, choose_samples
from model.training.refine.settings import RefineSettings
from model.training.resources import TrainingResources
from model.training.shipping.accuracy_figures import figures_of_embeddings
from model.training.words.held_out import HeldOut, read_held_out
from model.training.words.overlap_review import review, texts_to_drop, without_texts

_VOCABULARY = 1000
_VARIANTS: Mapping[str, Literal["lite0", "lite2"]] = {
    "efficientnet_lite0": "lite0",
    "efficientnet_lite2": "lite2",
}


@dataclass(frozen=True, slots=True)
class RefineRequest:
    """The trained checkpoint, the manifests, and the folder `out` for features and checkpoint.

    `command` is quoted in the model card.
    """

    checkpoint: Path
    manifests: tuple[Path, ...]
    out: Path
    settings: RefineSettings
    command: str


def refine(
    request: RefineRequest,
    resources: TrainingResources,
    *,
    text: TextEncoder | None = None,
    progress: Progress = no_progress,
) -> Path:
    """Write `out/checkpoint` and return it.

    The features of samples are stored in `out/features`, so that a run that was ended continues.
    `text` replaces the checkpoint's text model. Raises CheckpointError for another network than an
    EfficientNet-Lite with a word head, ManifestError, and ValueError without everyday videos.
    """
    settings, log = request.settings, resources.log
    trained = read_config(request.checkpoint)
    text_model = _text_model(request.checkpoint, trained)
    text = text or load_text_encoder(trained.text.model, checkpoint=request.checkpoint)
    manifests = [read_manifest(manifest) for manifest in request.manifests]
    samples = choose_samples(manifests, settings.samples_per_source, settings.limits, settings.seed)
    if not samples.everyday:
        raise ValueError("no labelled video has the split `validation`: scores are fitted on those")
    encoder = EncoderConfig(trained.encoder.network, text.dim, 0.0, _VOCABULARY)
    network = interpolated_network(request.checkpoint, encoder, settings.interpolation)
    cache = DiskFeatureCache(
        request.out / "features",
        network,
        settings.preprocess,
        settings.sampling,
        text,
        device=resources.device,
    )
    backbone = FrozenBackbone(network, cache, progress)

    def fit(training: Sequence[Sample]) -> Parts:
        cached = request.out / "captions"
        return fit_parts(backbone, encoder, training, samples.everyday, text, settings, cached, log)

    held_out = read_held_out(settings.held_out)
    log("fitting without the held-out classes, for figures")
    probe = fit(_without_held_out(samples.training, held_out, text))
    figures = _figures(probe, backbone, samples, held_out, text, settings)
    log("fitting on all classes, for the checkpoint")
    parts = fit(samples.training)
    found = everyday_similarities(
        parts, samples.everyday, parts.embed(backbone.features(samples.everyday)), text, settings
    )
    log("fitting scores on the everyday videos")
    calibration = fit_everyday_scores(found, settings)
    figures["everyday"] = everyday_figures(found)
    return _save(request, parts, calibration, figures, samples, text, text_model)


def interpolated_network(checkpoint: Path, encoder: EncoderConfig, share: float) -> Network:
    """Build the network at `share` of the way from ImageNet's weights to the checkpoint's.

    It has no temporal shift, which ImageNet's weights do not know. Raises CheckpointError.
    """
    found = read_config(checkpoint).encoder
    if found.network not in _VARIANTS or found.vocabulary != encoder.vocabulary:
        raise CheckpointError(
            f"{checkpoint} has the network {found.network} with {found.vocabulary} words; a "
            f"refinement needs an EfficientNet-Lite with {encoder.vocabulary}"
        )
    start, end = build_network(encoder), build_network(encoder)
    weights, classifier, bias = imagenet_weights(_VARIANTS[found.network])
    start.backbone.load_state_dict(weights)
    tensors = read_tensors(checkpoint / WEIGHTS_FILE)
    prefix = "network.backbone."
    end.backbone.load_state_dict(
        {
            name.removeprefix(prefix): value.float() if value.is_floating_point() else value
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
    )
    for network, own in (
        (start, (classifier, bias)),
        (end, tuple(tensors[f"network.head.word_head.classifier.{n}"] for n in ("weight", "bias"))),
    ):
        assert network.head.word_head  # the configuration has a vocabulary
        with torch.no_grad():
            network.head.word_head.classifier.weight.copy_(own[0])
            network.head.word_head.classifier.bias.copy_(own[1])
    return interpolate(start, end, share).eval().requires_grad_(False)


def _text_model(checkpoint: Path, config: CheckpointConfig) -> str:
    own = checkpoint / TEXT_FOLDER
    return str(own) if own.exists() else config.text.model


def _without_held_out(
    training: Sequence[Sample], held_out: HeldOut, text: TextEncoder
) -> list[Sample]:
    if not held_out.names:
        return list(training)
    dropped = texts_to_drop(review(training, held_out, text), held_out.overlap)
    return without_texts(training, held_out, dropped)


def _figures(
    probe: Parts,
    backbone: FrozenBackbone,
    samples: RefineSamples,
    held_out: HeldOut,
    text: TextEncoder,
    settings: RefineSettings,
) -> dict[str, Any]:
    """Measure what was fitted without the held-out classes: on these, and on everyday videos."""
    tagger = probe.tagger(text, settings, probe.bank)
    figures: dict[str, Any] = {}
    for kind, classes in (("validation", held_out.validation), ("test", held_out.test)):
        own = [sample for sample in samples.training if sample.label in classes]
        if own:
            figures[kind] = figures_of_embeddings(tagger, own, probe.embed(backbone.features(own)))
    embeddings = probe.embed(backbone.features(samples.everyday))
    found = everyday_similarities(probe, samples.everyday, embeddings, text, settings)
    figures["everyday_without_held_out"] = everyday_figures(found)
    return figures


def _save(
    request: RefineRequest,
    parts: Parts,
    calibration: CalibrationConfig,
    figures: Mapping[str, Any],
    samples: RefineSamples,
    text: TextEncoder,
    text_model: str,
) -> Path:
    directory, settings = request.out / "checkpoint", request.settings
    before = read_config(request.checkpoint).provenance
    config = CheckpointConfig(
        model_id=settings.model_id,
        encoder=parts.encoder,
        sampling=settings.sampling,
        preprocess=settings.preprocess,
        text=TextConfig(
            carry_text_model(text_model, text, directory), text.model_hash, settings.templates
        ),
        calibration=calibration,
        provenance={
            "command": request.command,
            "figures": dict(figures),
            "before": {name: value for name, value in before.items() if name != "figures"},
        },
    )
    save_checkpoint(
        directory,
        config,
        parts.network,
        text_mean=torch.from_numpy(parts.text_mean),
        bank=torch.from_numpy(parts.bank),
        card=refined_card(config, samples, settings.interpolation),
        reference=torch.from_numpy(np.ascontiguousarray(parts.reference)),
        knowledge=parts.knowledge,
        texts={
            name: (FOLDER / name).read_text(encoding="utf-8")
            for name in (CLASSES_FILE, ACTIONS_FILE)
        },
    )
    return directory
