"""The image encoder of Perception Encoder (PE-Core; Bolya et al., NeurIPS 2025), built by timm.

Each frame is encoded alone. `model.training.convert.perception` imports the weights. timm is in the
extra `encoders`.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from model.errors import CheckpointError

PeArchitecture = Literal[
    "vit_pe_core_tiny_patch16_384",
    "vit_pe_core_small_patch16_384",
    "vit_pe_core_base_patch16_224",
    "vit_pe_core_large_patch14_336",
    "vit_pe_core_gigantic_patch14_448",
]
# Far above every published tower; a checkpoint with more is damaged or hostile.
_MAX_FEATURES = 1 << 16


@dataclass(frozen=True, slots=True)
class PeCoreConfig:
    """timm's name of the architecture, and the number of features, which timm calls classes.

    Raises ValueError for a number of features that no tower has.
    """

    family: Literal["pe_core"]
    architecture: PeArchitecture
    features: int

    def __post_init__(self) -> None:
        if not 1 <= self.features <= _MAX_FEATURES:
            raise ValueError(f"features must be in 1..{_MAX_FEATURES}, not {self.features}")


class PeCoreTower(nn.Module):
    """Maps frames (M, 3, H, W) to features (M, F); H and W are those of the architecture.

    Raises CheckpointError where timm is not installed.
    """

    def __init__(self, config: PeCoreConfig) -> None:
        super().__init__()
        try:
            # an optional dependency, which takes seconds to import
            import timm
        except ImportError as error:
            raise CheckpointError(
                "a checkpoint of PE-Core needs timm: pip install --editable '.[encoders]'"
            ) from error
        tower: Any = timm.create_model(
            config.architecture, pretrained=False, num_classes=config.features, global_pool="map"
        )
        self.tower: nn.Module = tower
        # Not weights: a checkpoint does not store them, so they need a device of their own.
        rope = tower.rope.to_empty(device="cpu")
        with torch.device("cpu"):
            rope.init_non_persistent_buffers()
        self.features = config.features

    @property
    def stem(self) -> nn.Module:
        """The layers before the first block."""
        return self.tower.get_submodule("patch_embed")

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer layers, first to last."""
        layers = self.tower.get_submodule("blocks")
        assert isinstance(layers, nn.ModuleList)
        return layers

    def forward(self, pixels: Tensor, frames_per_clip: int = 1) -> Tensor:
        """Map (M, 3, H, W) to (M, F); frames do not depend on each other."""
        features: Tensor = self.tower(pixels)
        return features
