"""Sentence models of any kind, computed by sentence-transformers."""

import copy
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.text.pretrained import without_progress_bars


class LibraryModel:
    """A model by its Hub id or folder, loaded from safetensors. Raises OSError and ValueError.

    The other side of `model` may embed videos (`model.encoder.sentence_tower`).
    """

    def __init__(self, source: Path | str, device: str) -> None:
        # take seconds to import, which the default text model does not need
        import torch
        from sentence_transformers import SentenceTransformer

        with without_progress_bars():
            self.model = SentenceTransformer(
                str(source),
                device=device,
                local_files_only=isinstance(source, Path),
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
        self._is_multimodal = getattr(self.model, "modalities", ["text"]) != ["text"]
        # `tokenize` changes the padding that the tokenizer stores, which a batch in another thread
        # would then use, so words are tokenized by a copy. The first batch sets the padding of the
        # original, which is not thread-safe.
        self._word_tokenizer = copy.deepcopy(self.model.tokenizer)
        self.encode(["one", "and another"])

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.model.get_embedding_dimension() or 0)

    @property
    def is_on_cpu(self) -> bool:
        """Whether texts are encoded on the CPU."""
        return bool(self.model.device.type == "cpu")

    @property
    def vocabulary(self) -> Iterable[str]:
        """All tokens."""
        tokens: Iterable[str] = self._word_tokenizer.get_vocab()
        return tokens

    @property
    def unknown_token(self) -> str:
        """The token of what the vocabulary does not know."""
        return str(self._word_tokenizer.unk_token)

    def pieces(self, word: str) -> list[str] | None:
        """Return the tokens of a word; None where the tokenizer does not tell words from pieces.

        That of a static embedding does not.
        """
        if not hasattr(self._word_tokenizer, "tokenize"):
            return None
        return list(self._word_tokenizer.tokenize(word))

    def digest(self) -> str:
        """Return the SHA-256 of the weights, for a model without a file of them."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Map (N,) texts to (N, dim) float32 unit vectors."""
        # The library would open or fetch a plain text that looks like the path or URL of a video.
        inputs: list[Any] = [{"text": text} for text in texts] if self._is_multimodal else [*texts]
        vectors = self.model.encode(
            inputs, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(vectors, np.float32).reshape(len(texts), self.dim)
