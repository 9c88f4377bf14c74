"""The image encoder of CLIP (Radford et al., ICML 2021) and SigLIP (Zhai et al., ICCV 2023).

The layers are those of `transformers`, built from the sizes in a checkpoint. Each frame is encoded
alone. `model.training.convert.image_text` imports the weights.
"""

from dataclasses import dataclass, fields
from typing import Literal, get_args

import torch
from torch import Tensor, nn

TowerFamily = Literal["clip", "siglip"]
Activation = Literal["quick_gelu", "gelu", "gelu_pytorch_tanh"]

# Far above every published tower; a checkpoint with more is damaged or hostile.
_MAX_SIZE = 1 << 16
_MAX_LAYERS = 256


@dataclass(frozen=True, slots=True)
class TowerConfig:
    """Sizes of a tower, with the names that `transformers` uses.

    `image_size` and `patch_size` are in pixels. Raises ValueError for values that describe no
    tower.
    """

    family: TowerFamily
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    image_size: int
    patch_size: int
    hidden_act: Activation
    layer_norm_eps: float

    def __post_init__(self) -> None:
        if self.family not in get_args(TowerFamily) or self.hidden_act not in get_args(Activation):
            raise ValueError(
                f"family must be one of {get_args(TowerFamily)} and hidden_act one of "
                f"{get_args(Activation)}, not {self.family!r} and {self.hidden_act!r}"
            )
        sizes = [getattr(self, f.name) for f in fields(self) if f.type is int]
        if not all(1 <= size <= _MAX_SIZE for size in sizes):
            raise ValueError(f"all sizes must be in 1..{_MAX_SIZE}, not {self}")
        if self.num_hidden_layers > _MAX_LAYERS or self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"num_hidden_layers must be at most {_MAX_LAYERS}, and num_attention_heads must "
                f"divide hidden_size, not {self}"
            )
        if self.patch_size > self.image_size:
            raise ValueError(
                f"patch_size must be at most image_size, not {self.patch_size} > {self.image_size}"
            )


class VisionTower(nn.Module):
    """Maps frames (M, 3, H, W) to features (M, hidden_size).

    H and W may differ from `image_size`; position embeddings are then interpolated.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        # Importing transformers takes seconds, which checkpoints with other networks do not need.
        from transformers import (
            CLIPVisionConfig,
            CLIPVisionModel,
            SiglipVisionConfig,
            SiglipVisionModel,
        )

        sizes = {f.name: getattr(config, f.name) for f in fields(config) if f.name != "family"}
        built = (
            CLIPVisionModel(CLIPVisionConfig(**sizes))
            if config.family == "clip"
            else SiglipVisionModel(SiglipVisionConfig(**sizes))
        )
        # Some versions of transformers wrap the layers in another module.
        self.tower: nn.Module = getattr(built, "vision_model", built)
        embeddings = self.tower.get_submodule("embeddings")
        # Not a weight: a checkpoint does not store it, so it needs a device of its own.
        positions = torch.arange(_positions(config), device="cpu").expand(1, -1)
        embeddings.register_buffer("position_ids", positions, persistent=False)
        self._image_size = (config.image_size, config.image_size)
        self.features = config.hidden_size

    @property
    def stem(self) -> nn.Module:
        """The layers before the first block."""
        return self.tower.get_submodule("embeddings")

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer layers, first to last."""
        layers = self.tower.get_submodule("encoder").layers
        assert isinstance(layers, nn.ModuleList)
        return layers

    def forward(self, pixels: Tensor, frames_per_clip: int = 1) -> Tensor:
        """Map (M, 3, H, W) to (M, hidden_size); frames do not depend on each other."""
        resized = pixels.shape[-2:] != self._image_size
        output = self.tower(pixels, interpolate_pos_encoding=resized)
        pooled: Tensor = output.pooler_output
        return pooled


def _positions(config: TowerConfig) -> int:
    patches = (config.image_size // config.patch_size) ** 2
    return patches + 1 if config.family == "clip" else patches
