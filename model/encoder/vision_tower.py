"""The picture half of CLIP (Radford et al., ICML 2021) and SigLIP (Zhai et al., ICCV 2023).

The layers are those of `transformers`, built from the sizes that travel in a checkpoint; frames
are seen one by one. `model.training.convert.image_text` brings the weights.
"""

from dataclasses import dataclass, fields
from typing import Literal, get_args

import torch
from torch import Tensor, nn

TowerFamily = Literal["clip", "siglip"]
Activation = Literal["quick_gelu", "gelu", "gelu_pytorch_tanh"]

# Far above every published tower; a checkpoint that says more is damaged or hostile.
_LARGEST = 1 << 16
_MOST_LAYERS = 256


@dataclass(frozen=True, slots=True)
class TowerConfig:
    """Sizes of a tower, in the words of `transformers`; `image_size` and `patch_size` in pixels."""

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
            raise ValueError(f"no tower is of {self.family!r} with {self.hidden_act!r}")
        sizes = [getattr(self, f.name) for f in fields(self) if f.type is int]
        if not all(1 <= size <= _LARGEST for size in sizes):
            raise ValueError(f"the sizes of {self} must be in 1..{_LARGEST}")
        if self.num_hidden_layers > _MOST_LAYERS or self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"a tower has at most {_MOST_LAYERS} layers, and heads that divide its hidden "
                f"size: not {self}"
            )
        if self.patch_size > self.image_size:
            raise ValueError(f"patches of {self.patch_size} in pictures of {self.image_size}")


class VisionTower(nn.Module):
    """Frames to features: (M, 3, H, W) to (M, hidden_size).

    H and W may differ from `image_size`; position embeddings are then interpolated.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        # seconds of import that checkpoints with other networks never cost
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
        # some versions of transformers wrap the layers once more
        self.tower: nn.Module = getattr(built, "vision_model", built)
        embeddings = self.tower.get_submodule("embeddings")
        # no weight, so that no checkpoint brings it to where a network was built on no device
        places = torch.arange(_positions(config), device="cpu").expand(1, -1)
        embeddings.register_buffer("position_ids", places, persistent=False)
        self._image_size = (config.image_size, config.image_size)
        self.features = config.hidden_size

    @property
    def stem(self) -> nn.Module:
        """What comes before the first block."""
        return self.tower.get_submodule("embeddings")

    @property
    def blocks(self) -> nn.ModuleList:
        """The layers in forward order."""
        layers = self.tower.get_submodule("encoder").layers
        assert isinstance(layers, nn.ModuleList)
        return layers

    def forward(self, pixels: Tensor, frames_per_clip: int = 1) -> Tensor:
        """(M, 3, H, W) frames of clips of `frames_per_clip`, which do not see each other."""
        resized = pixels.shape[-2:] != self._image_size
        output = self.tower(pixels, interpolate_pos_encoding=resized)
        pooled: Tensor = output.pooler_output
        return pooled


def _positions(config: TowerConfig) -> int:
    patches = (config.image_size // config.patch_size) ** 2
    return patches + 1 if config.family == "clip" else patches
