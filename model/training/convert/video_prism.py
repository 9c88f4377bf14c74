"""Import a VideoPrism-LvT, a video tower and a text tower, from the layout of transformers."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.encoder.networks import EncoderConfig, VideoTowerNetwork, build_network
from model.encoder.preprocess import PreprocessConfig
from model.encoder.video_prism_tower import VideoPrismConfig, VideoPrismTower
from model.errors import CheckpointError
from model.text.pretrained import without_progress_bars
from model.training.convert.contract import check_size, check_tokenizer
from model.training.convert.towers import ImportedTowers, write_text_tower

_SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_spatial_layers",
    "num_temporal_layers",
    "num_auxiliary_layers",
    "num_frames",
    "hidden_act",
    "layer_norm_eps",
    "attn_logit_softcapping",
)


def read_video_prism(folder: Path) -> ImportedTowers:
    """Load a VideoPrism-LvT.

    Raises CheckpointError for a wrong contract, and the errors of transformers.
    """
    # imported here because it takes seconds and few runs need it
    from transformers import AutoTokenizer, AutoVideoProcessor, VideoPrismClipModel

    here: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with without_progress_bars():
        model: Any = VideoPrismClipModel.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
        )
    processors: Any = AutoVideoProcessor
    processor = processors.from_pretrained(folder, **here)
    tower = _tower_config(model.config.vision_config)
    if processor.do_normalize:
        raise CheckpointError(
            "mean: VideoPrism takes pixels in 0..1 without a mean, its processor normalises them"
        )
    size = dict(processor.size or {})
    check_size(int(size.get("height", 0)), tower.image_size, "the video processor")
    check_size(int(size.get("width", 0)), tower.image_size, "the video processor")
    tokenizer = AutoTokenizer.from_pretrained(folder, **here)
    check_tokenizer(tokenizer, model.config.text_config.vocab_size)
    encoder = EncoderConfig("video_tower", tower.hidden_size, 0.0, tower=tower)
    return ImportedTowers(
        network=_network_of(model, encoder),
        encoder=encoder,
        preprocess=PreprocessConfig(
            tower.image_size,
            tower.image_size,
            1.0,
            (0.0, 0.0, 0.0),
            (1.0, 1.0, 1.0),
            squash=not processor.do_center_crop,
        ),
        write_text=partial(write_text_tower, model.text_model, tokenizer),
        frames=tower.num_frames,
        scale=None,
        seen=f"its video tower sees {tower.num_frames} frames at once, which attend to each other",
    )


def _tower_config(vision: Any) -> VideoPrismConfig:
    if not vision.apply_l2norm or not vision.num_auxiliary_layers:
        raise CheckpointError(
            "pooling: a VideoPrism with auxiliary layers, an attention pooling head and unit "
            "vectors is needed (VideoPrism-LvT)"
        )
    step, *patch = vision.tubelet_size
    if step != 1 or patch[0] != patch[1] or not vision.qkv_bias or vision.num_channels != 3:
        raise CheckpointError(f"size: tubelets of {vision.tubelet_size} cannot be imported")
    sizes = {name: getattr(vision, name) for name in _SIZES}
    side = vision.image_size
    height, width = side if isinstance(side, list | tuple) else (side, side)
    check_size(int(height), int(width), "the configuration")
    return VideoPrismConfig(
        family="videoprism", image_size=int(height), patch_size=int(patch[0]), **sizes
    )


def _network_of(model: Any, encoder: EncoderConfig) -> VideoTowerNetwork:
    network = build_network(encoder)
    assert isinstance(network, VideoTowerNetwork)
    assert isinstance(network.backbone, VideoPrismTower)
    network.backbone.tower.load_state_dict(model.video_model.state_dict())
    with torch.no_grad():
        nn.init.eye_(network.head.linear.weight)
        nn.init.zeros_(network.head.linear.bias)
    return network
