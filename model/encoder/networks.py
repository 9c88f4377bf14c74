"""Clips of pixels to unit vectors in the space of the labels' text embeddings.

Three networks stand behind one protocol: the paper's R(2+1)D-18 (Brattoli et al., CVPR 2020,
section 4), an EfficientNet-Lite with temporal shift (Lin et al., ICCV 2019) for plain CPUs, and
the vision tower of an imported image-text model. All average the features of a video's clips
before the head, as the paper does (section 4.2).
"""

import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models.video import r2plus1d_18

from model.encoder.efficientnet import EfficientNetLite
from model.encoder.rounding import lower_precision
from model.encoder.vision_tower import TowerConfig, VisionTower

NetworkName = Literal["efficientnet_lite0", "efficientnet_lite2", "r2plus1d_18", "vision_tower"]
RuntimeName = Literal["eager", "compile", "openvino"]
ClipShape = tuple[int, int, int, int, int]  # N clips, T frames, 3, H, W: one video's pixels


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """What is needed to build a network; travels in the checkpoint.

    `shift_fraction` is the share of channels that temporal shift moves each way (1/8 in the TSM
    paper; EfficientNet-Lite only). `vocabulary` is the size of the word head, 0 for none. `tower`
    holds the sizes of a vision tower, and goes with that network only.
    """

    network: NetworkName
    dim: int
    shift_fraction: float = 0.125
    vocabulary: int = 0
    tower: TowerConfig | None = None

    def __post_init__(self) -> None:
        if self.network not in get_args(NetworkName):
            raise ValueError(f"network {self.network!r} is none of {get_args(NetworkName)}")
        if self.dim < 1 or self.vocabulary < 0:
            raise ValueError(f"dim {self.dim} or vocabulary {self.vocabulary} is too small")
        if not 0.0 <= self.shift_fraction <= 0.5:
            raise ValueError(f"shift_fraction must be in 0..0.5, not {self.shift_fraction}")
        if (self.network == "vision_tower") != (self.tower is not None):
            raise ValueError(f"{self.network} with the tower {self.tower}")


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs a network: a program and the type that its convolutions and products use.

    `precision` is torch's name of the type: float32, bfloat16 or float16.
    """

    name: RuntimeName
    precision: str

    def __str__(self) -> str:
        return f"{self.name} {self.precision}"


class Encoder(Protocol):
    """Anything that maps videos' clips to unit vectors."""

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        ...

    @property
    def runtime(self) -> Runtime:
        """What computes the embeddings."""
        ...

    def encode(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Embed B videos of N clips of T frames.

        `pixels` is (B, N, T, 3, H, W) float32 as `preprocess` gives them; the answer is (B, dim)
        float32, each row of unit length.
        """
        ...


class WordHead(nn.Module):
    """Embeds features as a convex combination of word vectors (ConSE, Norouzi et al., ICLR 2014).

    Keeps what the backbone knew of ImageNet's nouns: a softmax over the words weighs their text
    embeddings. Trained with the rest of the network. Input (B, F), output (B, dim) unit.
    """

    words: Tensor

    def __init__(self, features: int, vocabulary: int, dim: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(features, vocabulary)
        self.register_buffer("words", torch.zeros(vocabulary, dim))

    def forward(self, features: Tensor) -> Tensor:
        weights = self.classifier(features).softmax(dim=-1)
        return functional.normalize(weights @ self.words, dim=-1)


class SemanticHead(nn.Module):
    """The paper's linear layer f_s, with an optional word head beside it.

    Input (B, F), output (B, dim) unit. `mix` weighs the word head's unit vector against the
    linear layer's; the sum is normalised again.
    """

    def __init__(self, features: int, config: EncoderConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(features, config.dim)
        self.word_head = (
            WordHead(features, config.vocabulary, config.dim) if config.vocabulary else None
        )
        self.mix = nn.Parameter(torch.tensor(1.0), requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        direct = functional.normalize(self.linear(features), dim=-1)
        if self.word_head is None:
            return direct
        return functional.normalize(direct + self.mix * self.word_head(features), dim=-1)


class FrameNetwork(nn.Module):
    """A picture network over frames, mean over time, then the head.

    EfficientNet-Lite looks at neighbouring frames by temporal shift, a vision tower does not.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.backbone: EfficientNetLite | VisionTower
        if config.tower is not None:
            self.backbone = VisionTower(config.tower)
        else:
            variant: Literal["lite0", "lite2"] = (
                "lite0" if config.network == "efficientnet_lite0" else "lite2"
            )
            self.backbone = EfficientNetLite(variant, shift_fraction=config.shift_fraction)
        self.head = SemanticHead(self.backbone.features, config)

    def features(self, clips: Tensor) -> Tensor:
        """(M, T, 3, H, W) clips to (M, F) features."""
        pixels = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        frames = self.backbone(pixels, frames_per_clip=clips.shape[1])
        averaged: Tensor = frames.reshape(*clips.shape[:2], -1).mean(dim=1)
        return averaged

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, N, T, 3, H, W) to (B, dim) unit."""
        embeddings: Tensor = self.head(video_features(self, pixels))
        return embeddings


class ClipNetwork(nn.Module):
    """The paper's R(2+1)D-18 with its 400-way classifier replaced by the head."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.backbone = r2plus1d_18(weights=None)
        features: int = self.backbone.fc.in_features
        self.backbone.fc = nn.Identity()
        self.head = SemanticHead(features, config)

    def features(self, clips: Tensor) -> Tensor:
        """(M, T, 3, H, W) clips to (M, 512) features."""
        volumes = clips.transpose(1, 2).contiguous(memory_format=torch.channels_last_3d)
        return self.backbone(volumes)  # type: ignore[no-any-return]  # nn.Module call

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, N, T, 3, H, W) to (B, dim) unit."""
        embeddings: Tensor = self.head(video_features(self, pixels))
        return embeddings


Network = FrameNetwork | ClipNetwork


def video_features(network: Network, pixels: Tensor) -> Tensor:
    """(B, N, T, 3, H, W) to (B, F): features of each video's N clips, averaged before the head."""
    features = network.features(pixels.flatten(0, 1))
    return features.reshape(*pixels.shape[:2], -1).mean(dim=1)


def build_network(config: EncoderConfig) -> Network:
    """A network with random weights, in training mode."""
    return ClipNetwork(config) if config.network == "r2plus1d_18" else FrameNetwork(config)


def fold_batch_norm(network: Network) -> Network:
    """A copy in evaluation mode with batch norms folded into the convolutions before them."""
    folded = copy.deepcopy(network).eval()
    for layers in list(folded.modules()):
        if not isinstance(layers, nn.Sequential):
            continue
        for place, (layer, norm) in enumerate(pairwise(list(layers))):
            if isinstance(layer, nn.Conv2d | nn.Conv3d) and isinstance(norm, _BatchNorm):
                layers[place], layers[place + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
    return folded


def served_embeddings(network: Network, pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, N, T, 3, H, W) float32 pixels to (B, dim) unit float32, as every runtime computes them.

    The features are computed in `dtype`, the head in fp32: it is small, and a norm taken in bf16
    would be off by up to 1 %.
    """
    features = video_features(network, pixels.to(dtype)).float()
    return functional.normalize(network.head(features), dim=-1)


class TorchEncoder:
    """A network's copy for inference on one device, behind the `Encoder` protocol."""

    def __init__(
        self, network: Network, dim: int, *, device: str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self._network = fold_batch_norm(network).to(device)
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
        """Torch as it is, in the precision asked for."""
        return Runtime("eager", str(self._dtype).removeprefix("torch."))

    @property
    def network(self) -> Network:
        """The folded copy, for export; it is not meant to be trained."""
        return self._network

    def is_prepared(self, clips: ClipShape) -> bool:
        """Always: torch takes every shape as it comes."""
        return True

    def prepare(self, clips: ClipShape) -> None:
        """Nothing to prepare."""

    def encode(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Embed (B, N, T, 3, H, W) float32 pixels as (B, dim) unit float32."""
        with torch.inference_mode():
            on_device = pixels.to(self._device, non_blocking=True)
            return served_embeddings(self._network, on_device, self._dtype).cpu().numpy()
