"""The video encoder of VideoPrism-LvT (Zhao et al., ICML 2024): frames attend to each other.

The layers are those of `transformers`, built from the sizes in a checkpoint.
`model.training.convert.video_prism` imports the weights.
"""

from dataclasses import asdict, dataclass, fields
from typing import Literal

import torch
from torch import Tensor, nn

# Far above every published tower; a checkpoint with more is damaged or hostile.
_MAX_SIZE = 1 << 16
_MAX_LAYERS = 256


@dataclass(frozen=True, slots=True)
class VideoPrismConfig:
    """Sizes of the tower, with the names that `transformers` uses; `patch_size` is of a tubelet.

    `image_size` and `patch_size` are in pixels. Raises ValueError for values that describe no
    tower.
    """

    family: Literal["videoprism"]
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_spatial_layers: int
    num_temporal_layers: int
    num_auxiliary_layers: int
    num_frames: int
    image_size: int
    patch_size: int
    hidden_act: Literal["gelu_python", "gelu"]
    layer_norm_eps: float
    attn_logit_softcapping: float

    def __post_init__(self) -> None:
        sizes = [getattr(self, f.name) for f in fields(self) if f.type is int]
        if not all(1 <= size <= _MAX_SIZE for size in sizes):
            raise ValueError(f"all sizes must be in 1..{_MAX_SIZE}, not {self}")
        layers = (self.num_spatial_layers, self.num_temporal_layers, self.num_auxiliary_layers)
        if max(layers) > _MAX_LAYERS or self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"there must be at most {_MAX_LAYERS} layers of a kind, and num_attention_heads "
                f"must divide hidden_size, not {self}"
            )
        if self.patch_size > self.image_size:
            raise ValueError(
                f"patch_size must be at most image_size, not {self.patch_size} > {self.image_size}"
            )


class VideoPrismTower(nn.Module):
    """Maps clips (M, T, 3, H, W) to unit features (M, hidden_size).

    T, H and W may differ from those of the configuration; position embeddings are then
    interpolated.
    """

    def __init__(self, config: VideoPrismConfig) -> None:
        super().__init__()
        # Importing transformers takes seconds, which checkpoints with other networks do not need.
        from transformers import VideoPrismVisionConfig
        from transformers.models.videoprism.modeling_videoprism import VideoPrismVideoModel

        sizes = asdict(config)
        del sizes["family"]
        patch = sizes.pop("patch_size")
        vision = VideoPrismVisionConfig(**sizes, tubelet_size=[1, patch, patch])
        self.tower = VideoPrismVideoModel(vision)
        self.features = config.hidden_size
        self._shape = torch.Size((config.num_frames, 3, config.image_size, config.image_size))

    def forward(self, clips: Tensor) -> Tensor:
        """Map (M, T, 3, H, W) to (M, hidden_size)."""
        resized = clips.shape[1:] != self._shape
        output = self.tower(pixel_values_videos=clips, interpolate_pos_encoding=resized)
        pooled: Tensor = output.pooler_output  # one vector of each clip: (M, 1, hidden_size)
        return pooled.flatten(1)
