"""The parts of a refined checkpoint that are fitted on a set of training samples."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from model.calibration import Calibration, CalibrationConfig
from model.encoder.networks import EncoderConfig, FrameNetwork, SemanticHead
from model.tagger import Tagger
from model.text.knowledge import Knowledge
from model.text.text_encoder import TextEncoder
from model.training.calibrate import draw_bank
from model.training.compare.feature_cache import FrozenBackbone
from model.training.data.manifest import Sample
from model.training.features import FeatureEncoder, Vectors, apply_head
from model.training.knowledge.knowledge_files import read_actions, read_classes
from model.training.refine.evidence import evidence_space
from model.training.refine.linear import fit_linear
from model.training.refine.settings import RefineSettings
from model.training.resources import Log
from model.training.words.text_bank import build_bank, embed_labels


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Parts:
    """A network with its head, and what turns labels and similarities into scores.

    `bank` (M, dim) are everyday and training samples. `calibration` has no fitted scores yet.
    """

    network: FrameNetwork
    encoder: EncoderConfig
    text_mean: Vectors
    knowledge: Knowledge
    bank: Vectors
    reference: Vectors
    nearest_share: float

    def embed(self, features: Vectors) -> Vectors:
        """Map (N, F) features to (N, dim) float32 unit embeddings."""
        return apply_head(self.network.head, features)

    def tagger(self, text: TextEncoder, settings: RefineSettings, bank: Vectors) -> Tagger:
        """Build a tagger for labels and similarities over `bank`; it cannot read videos."""
        return Tagger(
            encoder=FeatureEncoder(self.network),
            text=text,
            templates=settings.templates,
            text_mean=self.text_mean,
            preprocess=settings.preprocess,
            sampling=settings.sampling,
            calibration=Calibration(
                CalibrationConfig(nearest_share=self.nearest_share), bank, self.reference
            ),
            model_id=settings.model_id,
            revision="unsaved",
            knowledge=self.knowledge,
        )


def fit_parts(
    backbone: FrozenBackbone,
    encoder: EncoderConfig,
    training: Sequence[Sample],
    everyday: Sequence[Sample],
    text: TextEncoder,
    settings: RefineSettings,
    cache: Path,
    log: Log,
) -> Parts:
    """Fit the linear layer on training samples, and build the evidence space and the bank.

    `backbone` has a frame network with a word head, built from `encoder`. Captions' vectors are
    stored in the folder `cache`.
    """
    start = backbone.network
    # refine.py builds it so
    assert isinstance(start, FrameNetwork)
    assert start.head.word_head
    features = backbone.features(training)
    words, rows = build_bank(training, text, settings.templates, cache)
    sources = [sample.source for sample in training]
    linear = fit_linear(
        features, rows, sources, words.vectors, settings.linear, seed=settings.seed, log=log
    )
    log("building the evidence space")
    classifier = _softened(start.head.word_head.classifier, settings.temperature)
    actions = embed_labels(read_actions(), text, settings.templates, words.mean)
    background = draw_bank(training, settings.linear.temper, settings.seed, settings.bank)
    everyday_features = backbone.features(everyday)
    typical = np.concatenate([everyday_features, features[background]])
    space = evidence_space(
        read_classes(),
        actions,
        classifier(torch.from_numpy(np.concatenate([everyday_features, features])))
        .softmax(dim=-1)
        .numpy(),
        text,
        words.mean,
        evidence_dim=settings.evidence_dim,
        direct_share=settings.direct_share,
    )
    encoder = replace(
        encoder, dim=text.dim + settings.evidence_dim + 1, evidence_dim=settings.evidence_dim
    )
    network = copy.deepcopy(start)
    network.head = _head(encoder, linear, classifier, space.words)
    bank = apply_head(network.head, typical)
    reference = space.knowledge.extend(actions, bank)
    return Parts(
        network, encoder, words.mean, space.knowledge, bank, reference, settings.nearest_share
    )


def _softened(classifier: nn.Linear, temperature: float) -> nn.Linear:
    softened = copy.deepcopy(classifier).requires_grad_(False)
    softened.weight.div_(temperature)
    softened.bias.div_(temperature)
    return softened


def _head(
    encoder: EncoderConfig, linear: nn.Linear, classifier: nn.Linear, words: Vectors
) -> SemanticHead:
    head = SemanticHead(linear.in_features, encoder)
    assert head.word_head  # the configuration has a vocabulary
    head.linear, head.word_head.classifier = linear, classifier
    head.word_head.words.copy_(torch.from_numpy(words))
    return head.eval()
