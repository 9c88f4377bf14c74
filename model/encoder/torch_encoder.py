"""Encode videos with plain torch: the reference that other runtimes are compared with."""

import copy
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.encoder.encoder import ClipShape, Encoder, Runtime
from model.encoder.networks import Network, served_embeddings, served_features
from model.encoder.rounding import lower_precision


class TorchEncoder(Encoder):
    """Runs a copy of a network in plain torch on one device; implements `ShapedEncoder`.

    With `shared` it runs the network itself, which must have no batch norms, in float32.
    """

    def __init__(
        self,
        network: Network,
        dim: int,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        shared: bool = False,
    ) -> None:
        # A model that embeds texts too is large: a copy would need its memory once more.
        self._network = (network if shared else fold_batch_norm(network)).to(device)
        self._device = torch.device(device)
        self._dtype = dtype
        self._dim = dim
        lower_precision(self._network, dtype)

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self._dim

    @property
    def runtime(self) -> Runtime:
        """Torch eager, in this encoder's dtype."""
        return Runtime("eager", str(self._dtype).removeprefix("torch."))

    @property
    def mixes_frames(self) -> bool:
        """Whether the network mixes the frames of a clip."""
        return self._network.mixes_frames

    @property
    def network(self) -> Network:
        """The copy with folded batch norms, for export to other runtimes; not for training."""
        return self._network

    def is_prepared(self, clips: ClipShape) -> bool:
        """Return True: torch eager encodes every shape without preparation."""
        return True

    def prepare(self, clips: ClipShape) -> None:
        """Do nothing: no shape needs preparation."""

    def features(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Map (B, N, T, 3, H, W) float32 pixels to (B, N, F) float32 features."""
        with torch.inference_mode():
            on_device = pixels.to(self._device, non_blocking=True)
            return served_features(self._network, on_device, self._dtype).cpu().numpy()

    def embed(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map (B, F) float32 mean features to (B, dim) unit float32."""
        with torch.inference_mode():
            on_device = torch.from_numpy(features).to(self._device)
            return served_embeddings(self._network, on_device).cpu().numpy()


def fold_batch_norm(network: Network) -> Network:
    """Copy the network in evaluation mode, batch norms folded into the preceding convolutions."""
    folded = copy.deepcopy(network).eval()
    for layers in list(folded.modules()):
        if not isinstance(layers, nn.Sequential):
            continue
        for index, (layer, norm) in enumerate(pairwise(list(layers))):
            if isinstance(layer, nn.Conv2d | nn.Conv3d) and isinstance(norm, _BatchNorm):
                layers[index], layers[index + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
    return folded
