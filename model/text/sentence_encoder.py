"""A frozen sentence-transformers model as a text encoder."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from model.cpu.torch_threads import use_cores
from model.errors import CheckpointError
from model.text.languages import has_unknown_script, is_not_english, known_scripts
from model.text.library_model import LibraryModel
from model.text.plain_bert import PlainBert
from model.text.pretrained import DEFAULT_TEXT_MODEL, find_text_model, weights_sha256

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
        source = find_text_model(name_or_path)
        self._source, self._device = source, device
        try:
            self._model = _load(source, device)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"text model {name_or_path!r} cannot be loaded: {error}"
            ) from error
        self._hash = weights_sha256(source) or self._model.digest()
        self._single = ThreadPoolExecutor(
            thread_name_prefix="text", initializer=use_cores, initargs=(1,)
        )

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._model.dim

    @property
    def model_hash(self) -> str:
        """SHA-256 of the model's weights."""
        return self._hash

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Map (N,) texts to (N, dim) float32 unit vectors."""
        if len(texts) <= _MAX_ON_ONE_CORE:
            return self._single.submit(self._model.encode, texts).result()
        if self._model.is_on_cpu:
            return self._encode_on_all_cores(texts)
        return self._model.encode(texts)

    @property
    def model(self) -> "SentenceTransformer":
        """The model in its library, whose other side may embed videos.

        See `model.encoder.sentence_tower`. A model that torch computes alone is loaded again.
        """
        if isinstance(self._model, PlainBert):
            self._model = LibraryModel(self._source, self._device)
        return self._model.model

    def _encode_on_all_cores(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        import torch

        # the longest text sets the time of a batch: batch texts of similar length
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        cores = torch.get_num_threads()
        size = min(_MAX_BATCH, math.ceil(len(order) / cores))
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        vectors = np.empty((len(texts), self.dim), np.float32)
        # a pool of its own: new threads inherit the priority of the calling thread
        with ThreadPoolExecutor(cores, "texts", use_cores, (1,)) as pool:
            encoded = pool.map(lambda batch: self._model.encode([texts[i] for i in batch]), batches)
            for batch, rows in zip(batches, encoded, strict=True):
                vectors[batch] = rows
        return vectors

    def unknown_words(self, text: str, language: str | None = None) -> tuple[str, ...]:
        """Return the words that the model does not know.

        All words of a text in a language other than English (`language` is its BCP 47 tag, or it is
        guessed) if the vocabulary is English. Else words with an unknown token or an unknown
        script, or pieces of at most two letters on average: this rule finds 96 % of random strings
        (2,000 of 4 to 10 letters) and 1 % of the words in the default labels. Only WordPiece
        vocabularies have short pieces.
        """
        words = tuple(text.split())
        pieces = [parts for word in words if (parts := self._model.pieces(word)) is not None]
        if len(pieces) < len(words):
            return ()
        if self._is_english:
            is_other = language is not None and language.partition("-")[0].lower() != "en"
            if is_other or is_not_english(words, pieces):
                return words
        return tuple(
            word for word, parts in zip(words, pieces, strict=True) if self._is_unknown(word, parts)
        )

    @cached_property
    def _scripts(self) -> frozenset[str] | None:
        return known_scripts(self._model.vocabulary)

    @property
    def _is_english(self) -> bool:
        # no vocabulary of a single other language is known here
        return self._scripts is not None and self._scripts <= {"LATIN"}

    def _is_unknown(self, word: str, pieces: Sequence[str]) -> bool:
        if self._model.unknown_token in pieces or not any(sign.isalnum() for sign in word):
            return True
        if self._scripts is not None and has_unknown_script(word, self._scripts):
            return True
        letters = sum(len(piece.removeprefix(_CONTINUES)) for piece in pieces)
        is_word_piece = any(piece.startswith(_CONTINUES) for piece in pieces)
        return is_word_piece and letters <= 2 * len(pieces)


def _load(source: Path | str, device: str) -> PlainBert | LibraryModel:
    """Load a model. Raises OSError and ValueError."""
    plain = PlainBert.find(source, device) if isinstance(source, Path) else None
    return plain or LibraryModel(source, device)
