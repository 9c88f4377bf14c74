"""Small CLIP and SigLIP models with random weights, as folders that transformers can load."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

from model.text.pretrained import without_progress_bars

WORDS = [
    *("a", "person", "video", "of", "riding", "horse", "cat", "dog", "juggling"),
    *("red", "green", "blue", "yellow", "wall", "lamp", "the"),
]
SIDE = 32
_SPECIAL = ["<pad>", "<unk>", "<bos>", "<eos>"]
_MAX_TOKENS = 12
_LAYERS = {"intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
_TEXT = _LAYERS | {
    "vocab_size": len(_SPECIAL) + len(WORDS),
    "max_position_embeddings": _MAX_TOKENS,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
_VISION = _LAYERS | {"hidden_size": 24, "image_size": SIDE, "patch_size": 8}
MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of whole lower-case words of `WORDS`, between start and end tokens."""
    vocabulary = {word: row for row, word in enumerate([*_SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 3)]
    )
    # transformers leaves the constructor without types
    tokenizer_class: Any = PreTrainedTokenizerFast
    fast: PreTrainedTokenizerFast = tokenizer_class(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        pad_token="<pad>",
        model_max_length=_MAX_TOKENS,
    )
    return fast


def tiny_clip(seed: int = 0) -> CLIPModel:
    """A CLIP with 24 (vision) and 32 (text) dimensions and a projection to 16."""
    config = CLIPConfig(
        text_config=_TEXT | {"hidden_size": 32}, vision_config=_VISION, projection_dim=16
    )
    model: CLIPModel = _stored_exactly(CLIPModel, config, seed)
    return model


def tiny_siglip(seed: int = 0) -> SiglipModel:
    """A SigLIP with 24 dimensions."""
    config = SiglipConfig(
        text_config=_TEXT | {"hidden_size": 24, "projection_size": 24}, vision_config=_VISION
    )
    model: SiglipModel = _stored_exactly(SiglipModel, config, seed)
    return model


def _stored_exactly(kind: Any, config: Any, seed: int) -> Any:
    """Build a model whose weights are exact in fp16, as CLIP's published weights are."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(config).half().float().eval()


def save_tiny(model: CLIPModel | SiglipModel, folder: Path) -> Path:
    """Save the model with its tokenizer and its image processor; weights in safetensors."""
    if isinstance(model, CLIPModel):
        processor: Any = CLIPImageProcessor(
            size={"shortest_edge": SIDE},
            crop_size={"height": SIDE, "width": SIDE},
            image_mean=list(MEAN),
            image_std=list(STD),
        )
    else:
        processor = SiglipImageProcessor(
            size={"height": SIDE, "width": SIDE}, image_mean=list(MEAN), image_std=list(STD)
        )
    with without_progress_bars():
        model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
