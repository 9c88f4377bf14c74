"""The text half of CLIP and SigLIP, in a folder as `transformers` writes it, without pickle.

config.json         sizes and family
model.safetensors   weights, CLIP's projection among them
tokenizer.json      and what else its tokenizer needs
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic_core import from_json

from model.errors import CheckpointError
from model.text.labels import normalise, sha256_of, without_progress_bars

TOWER_TYPES = ("clip_text_model", "siglip_text_model")
_TOGETHER = 64


def tower_type(folder: Path) -> str:
    """Which of `TOWER_TYPES` a folder holds; empty when it holds something else."""
    try:
        document = from_json((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return ""
    found = document.get("model_type") if isinstance(document, dict) else None
    return found if found in TOWER_TYPES else ""


class TextTower:
    """A text tower behind the `TextEncoder` protocol, loaded at construction.

    Raises CheckpointError when the folder does not hold one.
    """

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        # seconds of import that checkpoints with other text models never cost
        from transformers import AutoTokenizer, CLIPTextModelWithProjection, SiglipTextModel

        kind = tower_type(folder)
        if not kind:
            raise CheckpointError(f"{folder} holds no text tower of CLIP or SigLIP")
        family = CLIPTextModelWithProjection if kind == "clip_text_model" else SiglipTextModel
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
        # SigLIP was trained on texts padded to its full length, and without a mask
        self._padding = "max_length" if kind == "siglip_text_model" else "longest"
        # the first use sets the tokenizer's padding, which threads must not do at once
        self._dim = int(self._encode(["a"]).shape[1])

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._dim

    @property
    def model_hash(self) -> str:
        """sha256 of the tower's weights."""
        return self._hash

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N,) texts to (N, dim) float32 unit vectors; longer texts than the tower's are cut."""
        vectors = np.empty((len(texts), self._dim), np.float32)
        for start in range(0, len(texts), _TOGETHER):
            part = slice(start, start + _TOGETHER)
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
            return_attention_mask=self._padding == "longest",
        ).to(self._device)
        output = self._model(**tokens)
        pooled = output.text_embeds if "text_embeds" in output else output.pooler_output
        vectors: npt.NDArray[np.float32] = pooled.float().cpu().numpy()
        return vectors
