"""Networks that map clips of pixels to unit vectors in the space of the labels' text embeddings.

The backbones are the paper's R(2+1)D-18 (Brattoli et al., CVPR 2020, section 4), an
EfficientNet-Lite with temporal shift (Lin et al., ICCV 2019) for plain CPUs, and the towers of
imported models: CLIP, SigLIP and PE-Core see frames, VideoPrism sees clips, a sentence-transformers
model either. All networks average the features of a video's clips before the head, as the paper
does (section 4.2).
"""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from model.encoder.efficientnet import EfficientNetLite
from model.encoder.perception_tower import PeCoreConfig, PeCoreTower
from model.encoder.sentence_tower import SentenceTower, SentenceTowerConfig
from model.encoder.video_prism_tower import VideoPrismConfig, VideoPrismTower
from model.encoder.vision_tower import TowerConfig, VisionTower

NetworkName = Literal[
    "efficientnet_lite0",
    "efficientnet_lite2",
    "r2plus1d_18",
    "vision_tower",
    "video_tower",
    "sentence_tower",
]
FrameTowerConfig = TowerConfig | PeCoreConfig
AnyTowerConfig = FrameTowerConfig | VideoPrismConfig | SentenceTowerConfig


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Architecture of a network; stored in the checkpoint.

    `dim` is the length of an embedding. `shift_fraction` is the share of channels that temporal
    shift moves each way (1/8 in the TSM paper; EfficientNet-Lite only). `vocabulary` is the number
    of words of the word head, 0 for no word head. `evidence_dim` is the length of the evidence
    part of an embedding (see `SemanticHead`), 0 for none. `tower` describes a vision tower, which
    sees frames, a video tower or a sentence tower; it is None for all other networks.

    Raises ValueError for values that describe no network.
    """

    network: NetworkName
    dim: int
    shift_fraction: float = 0.125
    vocabulary: int = 0
    # pydantic reads the family first, and then the sizes of that family
    tower: Annotated[AnyTowerConfig, Field(discriminator="family")] | None = None
    evidence_dim: int = 0

    def __post_init__(self) -> None:
        if self.network not in get_args(NetworkName):
            raise ValueError(
                f"network must be one of {', '.join(get_args(NetworkName))}, not {self.network!r}"
            )
        if self.dim < 1:
            raise ValueError(f"dim must be at least 1, not {self.dim}")
        if self.vocabulary < 0:
            raise ValueError(f"vocabulary must be at least 0, not {self.vocabulary}")
        if self.evidence_dim and not (self.vocabulary and 0 < self.evidence_dim < self.dim - 1):
            raise ValueError(
                "evidence_dim must be 0, or positive, under dim - 1 and with a vocabulary: it is "
                f"{self.evidence_dim}, dim is {self.dim}, vocabulary is {self.vocabulary}"
            )
        if not 0.0 <= self.shift_fraction <= 0.5:
            raise ValueError(f"shift_fraction must be in 0..0.5, not {self.shift_fraction}")
        fits = {
            "vision_tower": isinstance(self.tower, FrameTowerConfig),
            "video_tower": isinstance(self.tower, VideoPrismConfig),
            "sentence_tower": isinstance(self.tower, SentenceTowerConfig),
        }
        if not fits.get(self.network, self.tower is None):
            raise ValueError(
                "tower must be that of a vision_tower, video_tower or sentence_tower, and be given "
                f"for no other network: network is {self.network}, tower is {self.tower}"
            )

    @property
    def text_dim(self) -> int:
        """Length of the part of an embedding that is compared with the text model's vectors."""
        return self.dim - self.evidence_dim - 1 if self.evidence_dim else self.dim


class WordHead(nn.Module):
    """Embeds features as a convex combination of word vectors (ConSE, Norouzi et al., ICLR 2014).

    A softmax over the words weighs their text embeddings, which keeps the backbone's knowledge of
    ImageNet's classes. Trained with the rest of the network. Input (B, F), output (B, dim) unit.
    """

    words: Tensor

    def __init__(self, features: int, vocabulary: int, dim: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(features, vocabulary)
        self.register_buffer("words", torch.zeros(vocabulary, dim))

    def mixture(self, features: Tensor) -> Tensor:
        """Weigh the words' vectors by a softmax over the words: (B, dim), not of unit length."""
        weights: Tensor = self.classifier(features).softmax(dim=-1)
        return weights @ self.words

    def forward(self, features: Tensor) -> Tensor:
        return functional.normalize(self.mixture(features), dim=-1)


class SemanticHead(nn.Module):
    """The paper's linear layer f_s, with an optional word head beside it.

    Input (B, F), output (B, dim) unit. Without evidence, `mix` weighs the word head's unit vector
    against the linear layer's; the sum is normalised again. With `evidence_dim`, the output is the
    unit vector of [linear layer's unit vector, evidence, rest]: the evidence is the word head's
    mixture, whose length says how certain the word head is, and `rest` is the number that brings
    the two together to unit length, so that normalising does not change the evidence. The words'
    vectors must not be longer than 1. Labels are compared with both parts (`model.text.knowledge`).
    """

    def __init__(self, features: int, config: EncoderConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(features, config.text_dim)
        self.evidence_dim = config.evidence_dim
        self.word_head = (
            WordHead(features, config.vocabulary, config.evidence_dim or config.dim)
            if config.vocabulary
            else None
        )
        self.mix = nn.Parameter(torch.tensor(1.0), requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        direct = functional.normalize(self.linear(features), dim=-1)
        if self.word_head is None:
            return direct
        if self.evidence_dim:
            evidence = self.word_head.mixture(features)
            # float error may bring the square to slightly over 1, where a root has no gradient
            rest = (1.0 - evidence.square().sum(dim=-1, keepdim=True)).clamp(min=1e-6).sqrt()
            return functional.normalize(torch.cat([direct, evidence, rest], dim=-1), dim=-1)
        return functional.normalize(direct + self.mix * self.word_head(features), dim=-1)


class FrameNetwork(nn.Module):
    """An image network applied to each frame, mean over time, then the head.

    EfficientNet-Lite mixes neighbouring frames by temporal shift; a vision tower does not.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.backbone: EfficientNetLite | VisionTower | PeCoreTower
        if isinstance(config.tower, TowerConfig):
            self.backbone = VisionTower(config.tower)
        elif isinstance(config.tower, PeCoreConfig):
            self.backbone = PeCoreTower(config.tower)
        else:
            variant: Literal["lite0", "lite2"] = (
                "lite0" if config.network == "efficientnet_lite0" else "lite2"
            )
            self.backbone = EfficientNetLite(variant, shift_fraction=config.shift_fraction)
        self.head = SemanticHead(self.backbone.features, config)

    @property
    def mixes_frames(self) -> bool:
        """Whether temporal shift makes a frame's features depend on its neighbours."""
        return isinstance(self.backbone, EfficientNetLite) and self.backbone.shift_fraction > 0

    def features(self, clips: Tensor) -> Tensor:
        """Map (M, T, 3, H, W) clips to (M, F) features."""
        pixels = clips.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        frames = self.backbone(pixels, frames_per_clip=clips.shape[1])
        averaged: Tensor = frames.reshape(*clips.shape[:2], -1).mean(dim=1)
        return averaged

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed (B, N, T, 3, H, W) pixels as (B, dim) unit vectors."""
        embeddings: Tensor = self.head(video_features(self, pixels))
        return embeddings


class ClipNetwork(nn.Module):
    """The paper's R(2+1)D-18 with its 400-way classifier replaced by the head."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        # Importing torchvision takes seconds, which checkpoints with other networks do not need.
        from torchvision.models.video import r2plus1d_18

        self.backbone = r2plus1d_18(weights=None)
        features: int = self.backbone.fc.in_features
        self.backbone.fc = nn.Identity()
        self.head = SemanticHead(features, config)

    @property
    def mixes_frames(self) -> bool:
        """True: convolutions in time see several frames."""
        return True

    def features(self, clips: Tensor) -> Tensor:
        """Map (M, T, 3, H, W) clips to (M, 512) features."""
        volumes = clips.transpose(1, 2).contiguous(memory_format=torch.channels_last_3d)
        return self.backbone(volumes)  # type: ignore[no-any-return]  # nn.Module call

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed (B, N, T, 3, H, W) pixels as (B, dim) unit vectors."""
        embeddings: Tensor = self.head(video_features(self, pixels))
        return embeddings


class VideoTowerNetwork(nn.Module):
    """The tower of an imported model of clips, with a linear head that is an identity at first."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.backbone: VideoPrismTower | SentenceTower
        if isinstance(config.tower, SentenceTowerConfig):
            self.backbone, features = SentenceTower(config.tower), config.dim
        else:
            assert isinstance(config.tower, VideoPrismConfig)
            self.backbone = VideoPrismTower(config.tower)
            features = self.backbone.features
        self.head = SemanticHead(features, config)

    @property
    def mixes_frames(self) -> bool:
        """True where the frames of a clip attend to each other."""
        return not isinstance(self.backbone, SentenceTower) or self.backbone.mixes_frames

    def features(self, clips: Tensor) -> Tensor:
        """Map (M, T, 3, H, W) clips to (M, F) features."""
        found: Tensor = self.backbone(clips)
        return found

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed (B, N, T, 3, H, W) pixels as (B, dim) unit vectors."""
        embeddings: Tensor = self.head(video_features(self, pixels))
        return embeddings


Network = FrameNetwork | ClipNetwork | VideoTowerNetwork


def clip_features(network: Network, pixels: Tensor) -> Tensor:
    """Map (B, N, T, 3, H, W) pixels to (B, N, F) features of the clips."""
    return network.features(pixels.flatten(0, 1)).reshape(*pixels.shape[:2], -1)


def video_features(network: Network, pixels: Tensor) -> Tensor:
    """Map (B, N, T, 3, H, W) pixels to (B, F) features, the mean over each video's N clips."""
    return clip_features(network, pixels).mean(dim=1)


def build_network(config: EncoderConfig) -> Network:
    """Build a network with random weights, in training mode; a sentence tower has no model yet."""
    if config.network in ("video_tower", "sentence_tower"):
        return VideoTowerNetwork(config)
    return ClipNetwork(config) if config.network == "r2plus1d_18" else FrameNetwork(config)


def served_features(network: Network, pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Map (B, N, T, 3, H, W) float32 pixels to (B, N, F) float32; every runtime runs this.

    The features are computed in `dtype`.
    """
    return clip_features(network, pixels.to(dtype)).float()


def served_embeddings(network: Network, features: Tensor) -> Tensor:
    """Map (B, F) float32 mean features to (B, dim) unit float32.

    Torch computes this for every runtime, in float32: the head is small, and a norm computed in
    bfloat16 would be off by up to 1 %.
    """
    return functional.normalize(network.head(features), dim=-1)
