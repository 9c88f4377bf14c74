"""Encode videos with torch.compile: one compilation per shape of clips."""

import copy
import shutil
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.encoder.encoder import ClipShape, Encoder, Runtime
from model.encoder.networks import Network, served_embeddings, served_features
from model.encoder.rounding import lower_precision

# "freezing" lets Inductor convert the weights to its memory layout once. One thread per call,
# because parallel calls use the cores better than parallel loops in one call.
_OPTIONS: dict[str, str | int | bool | Callable[..., Any]] = {
    "freezing": True,
    "cpp.threads": 1,
    "compile_threads": 1,
}


def can_compile() -> bool:
    """Whether this computer has g++, the C++ compiler that Inductor calls by default."""
    return shutil.which("g++") is not None


def compiled(module: nn.Module) -> Callable[..., Tensor]:
    """Return the module in evaluation mode; each shape of inputs is compiled at its first call."""
    return cast(
        Callable[..., Tensor], torch.compile(module.eval(), dynamic=False, options=_OPTIONS)
    )


class CompiledEncoder(Encoder):
    """Runs a network whose batch norms are folded; implements `ShapedEncoder`."""

    def __init__(
        self,
        network: Network,
        dim: int,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._network = network
        self._dim = dim
        self._dtype = dtype
        served = copy.deepcopy(network)
        lower_precision(served, dtype)
        self._compiled = compiled(_Served(served, dtype))
        self._prepared: set[ClipShape] = set()

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self._dim

    @property
    def runtime(self) -> Runtime:
        """torch.compile, in this encoder's dtype."""
        return Runtime("compile", str(self._dtype).removeprefix("torch."))

    @property
    def mixes_frames(self) -> bool:
        """Whether the network mixes the frames of a clip."""
        return self._network.mixes_frames

    def is_prepared(self, clips: ClipShape) -> bool:
        """Whether videos of this shape can be encoded without compiling first."""
        return clips in self._prepared

    def prepare(self, clips: ClipShape) -> None:
        """Compile for one video of this shape; takes one to two minutes."""
        n, t, c, h, w = clips
        self.features(torch.zeros(1, n, t, h, w, c).permute(0, 1, 2, 5, 3, 4))
        self._prepared.add(clips)

    def features(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Map (B, N, T, 3, H, W) float32 pixels to (B, N, F) float32, one video at a time."""
        # Inductor freezes weights under no_grad only, not under inference_mode.
        with torch.no_grad():
            rows = [self._compiled(video).numpy() for video in torch.split(pixels, 1)]
        return np.concatenate(rows)

    def embed(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map (B, F) float32 mean features to (B, dim) unit float32, in plain torch."""
        with torch.inference_mode():
            return served_embeddings(self._network, torch.from_numpy(features)).numpy()


class _Served(nn.Module):
    def __init__(self, network: Network, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (1, N, T, 3, H, W) pixels to (1, N, F) features."""
        return served_features(self.network, pixels, self.dtype)
