"""Small VideoPrism, PE-Core and X-CLIP models with random weights, in the layouts of the Hub."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import (
    LlavaOnevisionVideoProcessor,
    VideoPrismClipModel,
    VideoPrismConfig,
    VideoPrismTokenizer,
)

from model.text.pretrained import without_progress_bars
from tests.support.tiny_towers import WORDS

PRISM_SIDE, PRISM_FRAMES = 36, 4
PRISM_TOKENS = 12
PE_SIDE = 384
PE_NAME = "vit_pe_core_tiny_patch16_384"
_PE_DIM = 16
_HEADS = {"num_attention_heads": 2, "hidden_size": 24, "intermediate_size": 48}


def exact(model: Any, scale: float = 1.0) -> Any:
    """Make weights random, of a size that gives distinct outputs, and exact in fp16."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 or "pos" in name or "query" in name or "latent" in name:
                spread = scale / max(1.0, float(weight.shape[-1])) ** 0.5
                weight.copy_(torch.randn(weight.shape, generator=generator) * spread)
    return model.half().float().eval()


def tiny_video_prism() -> VideoPrismClipModel:
    """A VideoPrism-LvT of 24 dimensions that sees 4 frames of 36 pixels."""
    config = VideoPrismConfig(
        vision_config=_HEADS
        | {
            "image_size": PRISM_SIDE,
            "num_frames": PRISM_FRAMES,
            "num_spatial_layers": 2,
            "num_temporal_layers": 1,
            "num_auxiliary_layers": 1,
        },
        text_config=_HEADS
        | {
            "vocab_size": len(_pieces()),
            "num_hidden_layers": 2,
            "max_position_embeddings": PRISM_TOKENS,
        },
    )
    model: VideoPrismClipModel = exact(VideoPrismClipModel(config))
    return model


def _pieces(words: Sequence[str] = WORDS) -> list[tuple[str, float]]:
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    return special + [(f"▁{word}", -1.0) for word in words]


def prism_tokenizer(words: Sequence[str] = WORDS) -> Any:
    """VideoPrism's tokenizer with words as pieces."""
    tokenizer_class: Any = VideoPrismTokenizer
    return tokenizer_class(vocab=_pieces(words), extra_ids=0, model_max_length=PRISM_TOKENS)


def save_video_prism(model: VideoPrismClipModel, folder: Path, **processing: Any) -> Path:
    """Save the model with its tokenizer and video processor; `processing` changes the latter."""
    processor: Any = LlavaOnevisionVideoProcessor
    contract = {"size": {"height": PRISM_SIDE, "width": PRISM_SIDE}, "do_normalize": False}
    with without_progress_bars():
        model.save_pretrained(folder)
    prism_tokenizer().save_pretrained(folder)
    processor(**contract | {"default_to_square": True} | processing).save_pretrained(folder)
    return folder


def pe_config() -> dict[str, Any]:
    """open_clip's configuration of PE-Core-T with a small text tower."""
    vision = {
        "image_size": PE_SIDE,
        "timm_model_name": PE_NAME,
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": None,
    }
    text = {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    return {
        "model_cfg": {
            "embed_dim": _PE_DIM,
            "vision_cfg": vision,
            "text_cfg": text,
            "custom_text": True,
        },
        "preprocess_cfg": {
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bilinear",
            "resize_mode": "squash",
        },
    }


def tiny_pe_core() -> Any:
    """PE-Core-T/16 itself, 6 million weights, with a text tower of 32 dimensions."""
    import open_clip

    config = pe_config()["model_cfg"]
    del config["custom_text"]
    return exact(open_clip.model.CustomTextCLIP(**config))


def save_pe_core(model: Any, folder: Path, config: dict[str, Any] | None = None) -> Path:
    """Save the model as open_clip's models are on the Hub."""
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config or pe_config()))
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    return folder
