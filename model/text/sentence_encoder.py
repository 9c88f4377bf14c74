"""A frozen sentence-transformers model as a text encoder."""

import copy
import hashlib
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model.cpu.torch_threads import use_cores
from model.errors import CheckpointError
from model.text.languages import has_unknown_script, is_not_english, known_scripts
from model.text.pretrained import (
    DEFAULT_TEXT_MODEL,
    find_text_model,
    weights_sha256,
    without_progress_bars,
)

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Prefix of a piece that continues a word in WordPiece vocabularies such as BERT's.
_CONTINUES = "##"
# Up to this many texts are encoded on one core: on a busy machine the model's threads wait for each
# other at every layer, so that a label took ten times as long.
_MAX_ON_ONE_CORE = 16
# Maximum batch size. Each core encodes its own batches, to avoid the same waiting: docs/labels.md.
_MAX_BATCH = 64


class SentenceTextEncoder:
    """A sentence-transformers model, loaded at construction from safetensors weights.

    `name_or_path` is a Hub id or a folder. Raises CheckpointError when the model cannot be found
    or its weights are not the expected ones.
    """

    def __init__(self, name_or_path: str = DEFAULT_TEXT_MODEL, *, device: str = "cpu") -> None:
        # take seconds to import, which a process that only decodes or searches does not need
        import torch
        from sentence_transformers import SentenceTransformer

        source = find_text_model(name_or_path)
        try:
            with without_progress_bars():
                self._model = SentenceTransformer(
                    str(source),
                    device=device,
                    local_files_only=isinstance(source, Path),
                    model_kwargs={"use_safetensors": True, "dtype": torch.float32},
                )
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"text model {name_or_path!r} cannot be loaded: {error}"
            ) from error
        self._is_multimodal = getattr(self._model, "modalities", ["text"]) != ["text"]
        self._dim = int(self._model.get_embedding_dimension() or 0)
        self._hash = weights_sha256(source) or _parameters_sha256(self._model)
        self._single = ThreadPoolExecutor(
            thread_name_prefix="text", initializer=use_cores, initargs=(1,)
        )
        # `tokenize` changes the padding that the tokenizer stores, which a batch in another thread
        # would then use, so words are tokenized by a copy. The first batch sets the padding of the
        # original, which is not thread-safe.
        self._word_tokenizer = copy.deepcopy(self._model.tokenizer)
        self._encode(["one", "and another"])

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._dim

    @property
    def model_hash(self) -> str:
        """SHA-256 of the model's weights."""
        return self._hash

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Map (N,) texts to (N, dim) float32 unit vectors."""
        if len(texts) <= _MAX_ON_ONE_CORE:
            return self._single.submit(self._encode, texts).result()
        if self._model.device.type == "cpu":
            return self._encode_on_all_cores(texts)
        return self._encode(texts)

    def _encode_on_all_cores(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        import torch

        # the longest text sets the time of a batch: batch texts of similar length
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        cores = torch.get_num_threads()
        size = min(_MAX_BATCH, math.ceil(len(order) / cores))
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        vectors = np.empty((len(texts), self._dim), np.float32)
        # a pool of its own: new threads inherit the priority of the calling thread
        with ThreadPoolExecutor(cores, "texts", use_cores, (1,)) as pool:
            encoded = pool.map(lambda batch: self._encode([texts[i] for i in batch]), batches)
            for batch, rows in zip(batches, encoded, strict=True):
                vectors[batch] = rows
        return vectors

    @property
    def model(self) -> "SentenceTransformer":
        """The model, whose other side may embed videos (`model.encoder.sentence_tower`)."""
        return self._model

    def _encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        # The library would open or fetch a plain text that looks like the path or URL of a video.
        inputs: list[Any] = [{"text": text} for text in texts] if self._is_multimodal else [*texts]
        vectors = self._model.encode(
            inputs, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(vectors, np.float32).reshape(len(texts), self._dim)

    def unknown_words(self, text: str, language: str | None = None) -> tuple[str, ...]:
        """Return the words that the model does not know.

        All words of a text in a language other than English (`language` is its BCP 47 tag, or it is
        guessed) if the vocabulary is English. Else words with an unknown token or an unknown
        script, or pieces of at most two letters on average: this rule finds 96 % of random strings
        (2,000 of 4 to 10 letters) and 1 % of the words in the default labels. Only WordPiece
        vocabularies have short pieces.
        """
        words = tuple(text.split())
        if not hasattr(self._word_tokenizer, "tokenize"):
            # the tokenizer of a static embedding does not tell words from pieces
            return ()
        pieces = [self._word_tokenizer.tokenize(word) for word in words]
        if self._is_english:
            is_other = language is not None and language.partition("-")[0].lower() != "en"
            if is_other or is_not_english(words, pieces):
                return words
        return tuple(
            word for word, parts in zip(words, pieces, strict=True) if self._is_unknown(word, parts)
        )

    @cached_property
    def _scripts(self) -> frozenset[str] | None:
        return known_scripts(self._word_tokenizer.get_vocab())

    @property
    def _is_english(self) -> bool:
        # no vocabulary of a single other language is known here
        return self._scripts is not None and self._scripts <= {"LATIN"}

    def _is_unknown(self, word: str, pieces: Sequence[str]) -> bool:
        if self._word_tokenizer.unk_token in pieces or not any(sign.isalnum() for sign in word):
            return True
        if self._scripts is not None and has_unknown_script(word, self._scripts):
            return True
        letters = sum(len(piece.removeprefix(_CONTINUES)) for piece in pieces)
        is_word_piece = any(piece.startswith(_CONTINUES) for piece in pieces)
        return is_word_piece and letters <= 2 * len(pieces)


def _parameters_sha256(model: "SentenceTransformer") -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
