"""Parts of networks: features before the head, heads on features, interpolated weights."""

import copy
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.encoder.networks import Network, clip_features
from model.encoder.torch_encoder import TorchEncoder

Vectors = npt.NDArray[np.float32]


class FeatureEncoder(TorchEncoder):
    """A network without its head: `encode` returns mean features, which are not unit vectors."""

    def __init__(
        self, network: Network, *, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(network, network.head.linear.in_features, device=device, dtype=dtype)

    def features(self, pixels: Tensor) -> Vectors:
        """Map (B, N, T, 3, H, W) float32 pixels to (B, N, F) float32 features."""
        autocast = torch.autocast(
            self._device.type, dtype=self._dtype, enabled=self._dtype != torch.float32
        )
        with torch.inference_mode(), autocast:
            features = clip_features(self.network, pixels.to(self._device))
            return features.float().cpu().numpy()

    def embed(self, features: Vectors) -> Vectors:
        """Return the (B, F) mean features as they are."""
        return features


def apply_head(head: nn.Module, features: Vectors) -> Vectors:
    """Map (N, F) float32 features to (N, D) float32 unit embeddings."""
    with torch.inference_mode():
        return cast(Vectors, head(torch.from_numpy(features)).float().numpy())


def interpolate(start: Network, end: Network, share: float) -> Network:
    """Interpolate weights: a network at `share` of the distance from `start` to `end`.

    Weights that `start` lacks are those of `end`.
    """
    network = copy.deepcopy(end)
    initial = start.state_dict()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point() and name in initial:
                value.lerp_(initial[name], 1.0 - share)
    return network
