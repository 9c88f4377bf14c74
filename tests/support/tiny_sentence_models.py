"""Small sentence-transformers models with random weights that embed videos or images."""

from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoImageProcessor,
    CLIPProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLModel,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from model.text.pretrained import without_progress_bars
from tests.support.tiny_towers import save_tiny, tiny_clip, tiny_tokenizer

# frames are decoded with this short side, because the budget of pixels below is no side
VIDEO_SIDE = 384
_TOKENS = 512
_SPECIAL = [
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|image_pad|>", "<|video_pad|>"),
]
_TEMPLATE = (
    "{%- for message in messages %}<|im_start|>{{ message.role }}:"
    "{%- for part in message.content %}"
    "{%- if part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{%- elif part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- else %}{{ part.text }}{%- endif %}{%- endfor %}<|im_end|>{%- endfor %}"
)
_LAYERS = {"hidden_size": 32, "intermediate_size": 48}


def _byte_tokenizer() -> Any:
    """A tokenizer of bytes, as Qwen's is, without merges."""
    vocabulary = {sign: row for row, sign in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer_class: Any = PreTrainedTokenizerFast
    return tokenizer_class(
        tokenizer_object=tokenizer,
        pad_token=_SPECIAL[0],
        eos_token=_SPECIAL[2],
        additional_special_tokens=_SPECIAL[1:],
        model_max_length=_TOKENS,
    )


def save_video_model(folder: Path, *, pooling: str = "lasttoken") -> Path:
    """Save a Qwen3-VL that embeds texts, images and videos, as Qwen3-VL-Embedding does."""
    tokenizer = _byte_tokenizer()
    start, end, image, video = map(tokenizer.convert_tokens_to_ids, _SPECIAL[3:])
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]}
    text = _LAYERS | {
        "vocab_size": len(tokenizer),
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": _TOKENS,
        "rope_parameters": rope | {"mrope_interleaved": True},
    }
    vision = _LAYERS | {
        "depth": 2,
        "num_heads": 2,
        "patch_size": 8,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen3VLModel(
            Qwen3VLConfig(
                text_config=text,
                vision_config=vision,
                image_token_id=image,
                video_token_id=video,
                vision_start_token_id=start,
                vision_end_token_id=end,
            )
        )
    sizes: dict[str, Any] = {"patch_size": 8, "temporal_patch_size": 2, "merge_size": 2}
    image_class: Any = Qwen2VLImageProcessor
    video_class: Any = Qwen3VLVideoProcessor
    budget = {"shortest_edge": 2048, "longest_edge": 8192}
    processor_class: Any = Qwen3VLProcessor
    processor = processor_class(
        image_class(size=budget, **sizes),
        tokenizer,
        video_class(size=budget, cap_pixels_per_frame=False, **sizes),
        chat_template=_TEMPLATE,
    )
    with without_progress_bars():
        model.save_pretrained(folder / "plain")
        processor.save_pretrained(folder / "plain")
        first: Any = Transformer(str(folder / "plain"))
        pooled = Pooling(first.get_embedding_dimension(), pooling_mode=pooling)
        SentenceTransformer(modules=[first, pooled, Normalize()], device="cpu").save(
            str(folder / "model")
        )
    return folder / "model"


def save_image_model(folder: Path) -> Path:
    """Save a CLIP with a linear layer after its towers."""
    source = save_tiny(tiny_clip(), folder / "plain")
    pictures: Any = AutoImageProcessor
    processor: Any = CLIPProcessor
    processor(pictures.from_pretrained(source), tiny_tokenizer()).save_pretrained(source)
    with without_progress_bars(), torch.random.fork_rng():
        torch.manual_seed(0)
        first: Any = Transformer(str(source))
        linear = Dense(16, 12, module_input_name="sentence_embedding")
        SentenceTransformer(modules=[first, linear], device="cpu").save(str(folder / "model"))
    return folder / "model"
