"""The text tower of CLIP, SigLIP or VideoPrism, in a folder of transformers without pickle.

config.json         sizes and family
model.safetensors   weights, including CLIP's projection
tokenizer.json      and further files of the tokenizer
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic_core import from_json

from model.digests import sha256_of
from model.errors import CheckpointError, LabelError
from model.text.pretrained import without_progress_bars
from model.text.text_encoder import normalise

TOWER_TYPES = ("clip_text_model", "siglip_text_model", "videoprism_text_model")
_BATCH = 64


def tower_type(folder: Path) -> str:
    """Return which of `TOWER_TYPES` a folder contains, or an empty string."""
    try:
        document = from_json((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return ""
    found = document.get("model_type") if isinstance(document, dict) else None
    return found if found in TOWER_TYPES else ""


class TextTower:
    """A text tower as a `TextEncoder`, loaded at construction.

    Raises CheckpointError when the folder does not contain one.
    """

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        # takes seconds to import, which checkpoints with other text models do not need
        from transformers import AutoTokenizer

        kind = tower_type(folder)
        if not kind:
            raise CheckpointError(f"{folder} contains no text tower of CLIP, SigLIP or VideoPrism")
        family = _family(kind)
        try:
            with without_progress_bars():
                model: Any = family.from_pretrained(
                    folder, use_safetensors=True, local_files_only=True, dtype=torch.float32
                )
                self._tokenizer = AutoTokenizer.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
            self._hash = sha256_of(folder / "model.safetensors")
        except (OSError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"text tower {folder} cannot be loaded: {error}") from error
        self._model = model.eval().to(device)
        self._device = device
        # CLIP looks at no token after the last; the others were trained on texts padded to their
        # full length, SigLIP without a mask
        self._padding = "longest" if kind == "clip_text_model" else "max_length"
        self._has_mask = kind != "siglip_text_model"
        # the first call sets the tokenizer's padding, which is not thread-safe
        self._dim = int(self._encode(["a"]).shape[1])

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._dim

    @property
    def model_hash(self) -> str:
        """SHA-256 of the tower's weights."""
        return self._hash

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Map (N,) texts, truncated to the maximum length, to (N, dim) float32 unit vectors.

        Raises LabelError for a text with a control token that is not in the vocabulary.
        """
        vectors = np.empty((len(texts), self._dim), np.float32)
        for start in range(0, len(texts), _BATCH):
            part = slice(start, start + _BATCH)
            vectors[part] = self._encode(list(texts[part]))
        return normalise(vectors)

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
        longest = self._model.config.max_position_embeddings
        tokens = self._tokenizer(
            texts,
            padding=self._padding,
            truncation=True,
            max_length=longest,
            return_tensors="pt",
            return_token_type_ids=False,
            return_attention_mask=self._has_mask,
        ).to(self._device)
        if len(texts) and int(tokens["input_ids"].max()) >= self._model.config.vocab_size:
            raise LabelError(
                "a text contains a control token that the text tower has no vector for"
            )
        output = self._model(**tokens)
        pooled = output.text_embeds if "text_embeds" in output else output.pooler_output
        vectors: npt.NDArray[np.float32] = pooled.float().cpu().numpy()
        return vectors


def _family(kind: str) -> Any:
    """Return the class of transformers for one of `TOWER_TYPES`."""
    from transformers import CLIPTextModelWithProjection, SiglipTextModel
    from transformers.models.videoprism.modeling_videoprism import VideoPrismTextModel

    if kind == "videoprism_text_model":
        return VideoPrismTextModel
    return CLIPTextModelWithProjection if kind == "clip_text_model" else SiglipTextModel
