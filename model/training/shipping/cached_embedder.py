"""Embed samples with heads that change, from features that are computed once."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from model.calibration import Calibration, CalibrationConfig
from model.encoder.networks import Network
from model.tagger import Tagger
from model.text.text_encoder import TextEncoder
from model.training.config import TrainConfig
from model.training.data.manifest import Sample
from model.training.features import FeatureEncoder, Vectors, apply_head
from model.training.measure.sample_embeddings import embed_samples


class CachedEmbedder:
    """Embeds samples with a network's current head; keeps each sample's features in memory.

    `tagger` encodes clips to the network's features, before the head (see `feature_tagger`).
    """

    def __init__(self, tagger: Tagger, network: Network) -> None:
        self.tagger = tagger
        self.network = network
        self._features: dict[Sample, Vectors] = {}

    def embed(self, samples: Sequence[Sample]) -> Vectors:
        """Return (N, D) float32 unit vectors. Raises VideoError for an unreadable sample."""
        missing = [sample for sample in samples if sample not in self._features]
        self._features.update(zip(missing, embed_samples(self.tagger, missing), strict=True))
        features = np.stack([self._features[sample] for sample in samples])
        return apply_head(copy.deepcopy(self.network.head).cpu(), features)

    def with_network(self, network: Network) -> "CachedEmbedder":
        """Return an embedder with another network's weights and an empty cache."""
        encoder = FeatureEncoder(network, device=self.tagger.device)
        return CachedEmbedder(replace(self.tagger, encoder=encoder), network)


def feature_tagger(
    config: TrainConfig, network: Network, text: TextEncoder, mean: Vectors, device: str
) -> Tagger:
    """Build a tagger of the run whose encoder returns (N, F) features.

    `mean` (D,) centres label vectors. It has no background bank and no fitted scores.
    """
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
