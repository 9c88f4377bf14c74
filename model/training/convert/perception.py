"""Import a PE-Core (Perception Encoder) from the layout of open_clip.

The vision tower stays one of timm. The text tower is written as one of transformers' CLIP, which
is the same network, so that a checkpoint is served without open_clip.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from pydantic_core import from_json
from torch import Tensor, nn

from model.encoder.networks import EncoderConfig, FrameNetwork, build_network
from model.encoder.perception_tower import PeArchitecture, PeCoreConfig
from model.encoder.preprocess import PreprocessConfig
from model.errors import CheckpointError
from model.training.convert.contract import check_pixels, check_size, check_tokenizer
from model.training.convert.towers import ImportedTowers, write_text_tower

OPEN_CLIP_CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
_TOKENS = 49408
_START, _END = "<start_of_text>", "<end_of_text>"


def is_open_clip(folder: Path) -> bool:
    """Whether a folder contains a model in the layout of open_clip."""
    return (folder / OPEN_CLIP_CONFIG).is_file()


def read_pe_core(folder: Path) -> ImportedTowers:
    """Load a PE-Core.

    Raises CheckpointError for another model, a wrong contract, pickled weights, and where open_clip
    is not installed.
    """
    try:
        # an optional dependency, which takes seconds to import
        import open_clip
    except ImportError as error:
        raise CheckpointError(
            "importing PE-Core needs open_clip: pip install --editable '.[encoders]'"
        ) from error
    document: Any = from_json((folder / OPEN_CLIP_CONFIG).read_bytes())
    vision, pixels = document["model_cfg"]["vision_cfg"], document["preprocess_cfg"]
    name = vision.get("timm_model_name", "")
    if name not in get_args(PeArchitecture):
        raise CheckpointError(
            f"of the models of open_clip, only PE-Core can be imported, not {name or 'this one'}"
        )
    if vision.get("timm_pool") != "map" or vision.get("timm_proj"):
        raise CheckpointError(
            f"pooling: PE-Core pools by attention (map), not by {vision.get('timm_pool')!r} with "
            f"the projection {vision.get('timm_proj')!r}"
        )
    if pixels.get("resize_mode", "squash") != "squash":
        raise CheckpointError(
            f"size: PE-Core sees the whole frame, resized to a square (squash), not "
            f"{pixels['resize_mode']!r}"
        )
    check_pixels(pixels["mean"], pixels["std"])
    _check_text(document["model_cfg"]["text_cfg"])
    side = _side_of(name)
    check_size(int(vision["image_size"]), side, "the configuration")
    check_size(int(pixels.get("size", side)), side, "the preprocessing")
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder} has no {WEIGHTS}; pickled weights are not read")
    model: Any = open_clip.create_model(f"local-dir:{folder}", precision="fp32").eval()
    tokenizer = _tokenizer(open_clip.get_tokenizer(f"local-dir:{folder}"))
    check_tokenizer(tokenizer, model.text.vocab_size)
    dim = int(document["model_cfg"]["embed_dim"])
    encoder = EncoderConfig("vision_tower", dim, 0.0, tower=PeCoreConfig("pe_core", name, dim))
    return ImportedTowers(
        network=_network_of(model, encoder),
        encoder=encoder,
        preprocess=PreprocessConfig(
            side, side, 1.0, tuple(pixels["mean"]), tuple(pixels["std"]), squash=True
        ),
        write_text=partial(write_text_tower, _text_tower(model, dim), tokenizer),
        frames=0,
        scale=math.exp(model.logit_scale.item()),
        seen="its vision tower sees frames one by one, and their features are averaged",
    )


def _check_text(text: Any) -> None:
    """Refuse another tokenizer than CLIP's, and another pooling than the last token's."""
    other, tokens = text.get("hf_tokenizer_name"), int(text.get("vocab_size", _TOKENS))
    if other or tokens != _TOKENS:
        raise CheckpointError(
            f"tokenizer: PE-Core uses CLIP's {_TOKENS} byte pairs, not {other or tokens}"
        )
    pooling = text.get("pool_type", "argmax")
    if pooling != "argmax" or text.get("no_causal_mask"):
        raise CheckpointError(
            f"pooling: the text tower takes the last token's vector (argmax) with a causal mask, "
            f"not {pooling!r}"
        )


def _side_of(architecture: str) -> int:
    """Return the side in pixels of the pictures that an architecture of timm takes."""
    from timm.models import get_pretrained_cfg

    found: Any = get_pretrained_cfg(architecture)
    return int(found.input_size[-1])


def _network_of(model: Any, encoder: EncoderConfig) -> FrameNetwork:
    network = build_network(encoder)
    assert isinstance(network, FrameNetwork)
    network.backbone.get_submodule("tower").load_state_dict(model.visual.trunk.state_dict())
    with torch.no_grad():
        nn.init.eye_(network.head.linear.weight)
        nn.init.zeros_(network.head.linear.bias)
    return network


def _text_tower(model: Any, dim: int) -> Any:
    """Build transformers' CLIP text tower with the weights of open_clip's."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    text = model.text
    first = text.transformer.resblocks[0]
    config = CLIPTextConfig(
        vocab_size=text.vocab_size,
        hidden_size=text.width,
        intermediate_size=first.mlp.c_fc.out_features,
        num_hidden_layers=len(text.transformer.resblocks),
        num_attention_heads=text.heads,
        max_position_embeddings=text.num_pos,
        projection_dim=dim,
        hidden_act="gelu" if isinstance(first.mlp.gelu, nn.GELU) else "quick_gelu",
        layer_norm_eps=first.ln_1.eps,
        bos_token_id=text.vocab_size - 2,
        eos_token_id=text.vocab_size - 1,
        pad_token_id=0,
    )
    tower: Any = CLIPTextModelWithProjection(config)
    weights = _text_weights(text.state_dict(), tower.text_model is not None)
    tower.load_state_dict(weights)
    return tower.eval()


def _text_weights(source: dict[str, Tensor], nested: bool) -> dict[str, Tensor]:
    """Rename open_clip's text weights to those of transformers."""
    prefix = "text_model." if nested else ""
    weights = {
        "embeddings.token_embedding.weight": source["token_embedding.weight"],
        "embeddings.position_embedding.weight": source["positional_embedding"],
        "final_layer_norm.weight": source["ln_final.weight"],
        "final_layer_norm.bias": source["ln_final.bias"],
    }
    parts = {
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
        "attn.out_proj": "self_attn.out_proj",
    }
    for name, value in source.items():
        if not name.startswith("transformer.resblocks."):
            continue
        number, _, rest = name.removeprefix("transformer.resblocks.").partition(".")
        part, _, leaf = rest.rpartition(".")
        layer = f"encoder.layers.{number}"
        if part == "attn":
            kind = leaf.removeprefix("in_proj_")
            for projection, piece in zip("qkv", value.chunk(3), strict=True):
                weights[f"{layer}.self_attn.{projection}_proj.{kind}"] = piece.clone()
        else:
            weights[f"{layer}.{parts[part]}.{leaf}"] = value
    renamed = {prefix + name: value for name, value in weights.items()}
    return renamed | {"text_projection.weight": source["text_projection"].T.contiguous()}


def _tokenizer(theirs: Any) -> Any:
    """Build transformers' CLIP tokenizer with the vocabulary and merges of open_clip's."""
    from transformers import CLIPTokenizer

    merges = sorted(theirs.bpe_ranks, key=theirs.bpe_ranks.__getitem__)
    tokenizer_class: Any = CLIPTokenizer
    return tokenizer_class(
        vocab=dict(theirs.encoder),
        merges=[tuple(pair) for pair in merges],
        bos_token=_START,
        eos_token=_END,
        unk_token=_END,
        # after the end, where a causal tower does not look
        pad_token=_END,
        model_max_length=theirs.context_length,
    )
