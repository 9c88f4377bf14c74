"""Import an image-text model of the CLIP or SigLIP family from the layout of transformers."""

import math
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.encoder.networks import EncoderConfig, FrameNetwork, build_network
from model.encoder.preprocess import PreprocessConfig
from model.encoder.vision_tower import TowerConfig
from model.errors import CheckpointError
from model.text.pretrained import without_progress_bars
from model.training.convert.contract import (
    check_end_token,
    check_pixels,
    check_rescaling,
    check_size,
    check_tokenizer,
)
from model.training.convert.towers import ImportedTowers, write_text_tower

FAMILIES = ("clip", "siglip")


def read_image_text(folder: Path) -> ImportedTowers:
    """Load a CLIP or SigLIP.

    Raises CheckpointError for a wrong contract, and the errors of transformers.
    """
    # imported here because it takes seconds and few runs need it
    from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, CLIPModel, SiglipModel

    image_processor: Any = AutoImageProcessor
    here: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    kind = AutoConfig.from_pretrained(folder, **here).model_type
    family: Any = CLIPModel if kind == "clip" else SiglipModel
    with without_progress_bars():
        model = family.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
        ).eval()
    if not getattr(model.config.vision_config, "vision_use_head", True):
        raise CheckpointError("pooling: this SigLIP has no attention pooling head")
    tokenizer = AutoTokenizer.from_pretrained(folder, **here)
    check_tokenizer(tokenizer, model.config.text_config.vocab_size)
    if kind == "clip":
        check_end_token(tokenizer, model.config.text_config.eos_token_id)
    network = _network_of(model)
    return ImportedTowers(
        network=network,
        encoder=EncoderConfig(
            "vision_tower", network.head.linear.out_features, 0.0, tower=_tower_config(model)
        ),
        preprocess=_preprocess_of(image_processor.from_pretrained(folder, **here), model),
        write_text=partial(write_text_tower, _text_tower(model), tokenizer),
        frames=0,
        scale=math.exp(model.logit_scale.item()),
        seen="its vision tower sees frames one by one, and their features are averaged",
    )


def _preprocess_of(processor: Any, model: Any) -> PreprocessConfig:
    side = int(model.config.vision_config.image_size)
    size = dict(processor.size or {})
    scaled_to = size.get("shortest_edge")
    if scaled_to is None:
        check_size(int(size.get("height", side)), side, "the image processor")
        check_size(int(size.get("width", side)), side, "the image processor")
    elif getattr(processor, "do_center_crop", False):
        crop = dict(processor.crop_size or {})
        check_size(int(crop.get("height", side)), side, "the image processor")
    if not getattr(processor, "do_normalize", True):
        raise CheckpointError(
            f"mean: the image processor of a {model.config.model_type} normalises pixels, this one "
            "does not"
        )
    check_rescaling(processor)
    check_pixels(processor.image_mean, processor.image_std)
    return PreprocessConfig(
        short_side=max(int(scaled_to or side), side),
        crop_side=side,
        max_aspect_ratio=1.0,
        mean=tuple(map(float, processor.image_mean)),  # type: ignore[arg-type]  # three channels
        std=tuple(map(float, processor.image_std)),  # type: ignore[arg-type]  # the same
        squash=scaled_to is None,
    )


def _tower_config(model: Any) -> TowerConfig:
    vision = model.config.vision_config
    sizes = {f.name: getattr(vision, f.name) for f in fields(TowerConfig) if f.name != "family"}
    return TowerConfig(family=model.config.model_type, **sizes)


def _network_of(model: Any) -> FrameNetwork:
    tower = _tower_config(model)
    projection = getattr(model, "visual_projection", None)
    # SigLIP has no projection
    weight: Tensor = torch.eye(tower.hidden_size) if projection is None else projection.weight
    network = build_network(EncoderConfig("vision_tower", len(weight), 0.0, tower=tower))
    assert isinstance(network, FrameNetwork)
    vision = {
        # some versions of transformers have one more level of modules
        name.removeprefix("vision_model."): value
        for name, value in model.vision_model.state_dict().items()
    }
    network.backbone.get_submodule("tower").load_state_dict(vision)
    with torch.no_grad():
        network.head.linear.weight.copy_(weight)
        nn.init.zeros_(network.head.linear.bias)
    return network


def _text_tower(model: Any) -> Any:
    """Build the text tower as a model of its own."""
    # imported here because it takes seconds and few runs need it
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, SiglipTextModel

    text: Any
    if model.config.model_type == "clip":
        sizes = model.config.text_config.to_dict() | {"projection_dim": model.config.projection_dim}
        text = CLIPTextModelWithProjection(CLIPTextConfig(**sizes))
        text.text_projection.load_state_dict(model.text_projection.state_dict())
    else:
        text = SiglipTextModel(model.config.text_config)
    inner, source = (getattr(each, "text_model", each) for each in (text, model.text_model))
    inner.load_state_dict(source.state_dict())
    return text
