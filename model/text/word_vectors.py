"""Word vectors (word2vec, GloVe) as a text encoder: the text space of the paper.

The vector of a text is the mean of its words' unit vectors, scaled to unit length, as in the
official code of Brattoli et al. (CVPR 2020). A word without a vector is an error.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import CheckpointError, LabelError
from model.text.text_encoder import normalise

# The words that the official code removes from class names, and `to`, for which its vectors have no
# entry either.
STOP_WORDS = frozenset(
    {"a", "an", "and", "at", "do", "in", "of", "on", "or", "the", "to", "using", "with"}
)
_CONFIG, _WEIGHTS = "wordembedding_config.json", "model.safetensors"
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_PARTS = re.compile(r"[\s/_\-]+")


def is_word_vectors(path: Path) -> bool:
    """Return whether a path is a text file of word vectors, or a folder that `save` wrote."""
    return path.is_file() or (path / _CONFIG).is_file()


class WordVectorEncoder:
    """Word vectors as a `TextEncoder`, read by sentence-transformers.

    `path` is a text file with one word and its numbers in each line (word2vec's text format or
    GloVe, `.gz` too), or the folder of a checkpoint. Raises CheckpointError when it is neither.
    """

    def __init__(self, path: Path) -> None:
        self._model = _read(path)
        self._rows: dict[str, int] = dict(self._model.tokenizer.word2idx)
        vectors = self._model.emb_layer.weight.detach().numpy()
        if not np.isfinite(vectors).all():
            raise CheckpointError(f"{path} holds values that are no numbers")
        digest = hashlib.sha256(vectors.tobytes())
        digest.update("\n".join(self._rows).encode())
        self._hash = digest.hexdigest()
        self._vectors = normalise(vectors)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._vectors.shape[1])

    @property
    def model_hash(self) -> str:
        """SHA-256 of vectors and words."""
        return self._hash

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Map (N,) texts to (N, dim) float32 unit vectors.

        Raises LabelError that names the words without a vector.
        """
        means = [self._mean(text) for text in texts]
        return normalise(np.array(means, np.float32).reshape(len(texts), self.dim))

    def unknown_words(self, text: str, language: str | None = None) -> tuple[str, ...]:
        """Return the words of the text that have no vector, whatever the `language`."""
        return tuple(word for word in _words(text) if not self._rows_of(word))

    def save(self, folder: Path) -> None:
        """Write the folder that a checkpoint contains: safetensors and JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        self._model.save(str(folder))

    def _mean(self, text: str) -> npt.NDArray[np.float32]:
        words = _words(text)
        unknown = [word for word in words if not self._rows_of(word)]
        if unknown:
            named = ", ".join(map(repr, unknown))
            raise LabelError(f"the word vectors have none for {named} in {text!r}")
        rows = [row for word in words for row in self._rows_of(word)]
        mean: npt.NDArray[np.float32] = self._vectors[rows].sum(axis=0)
        if not rows or not np.linalg.norm(mean):
            raise LabelError(f"the word vectors give {text!r} no direction")
        return mean

    def _rows_of(self, word: str) -> list[int]:
        """Return the rows of a word, or of its parts around `-_/`; empty if one part has none."""
        whole = self._row_of(word)
        if whole is not None:
            return [whole]
        parts = [part for part in _PARTS.split(word) if part and part.lower() not in STOP_WORDS]
        rows = [self._row_of(part) for part in parts]
        return [] if None in rows else [row for row in rows if row is not None]

    def _row_of(self, word: str) -> int | None:
        for spelling in (word.lower(), word):
            row = self._rows.get(spelling)
            # a row of zeros is padding, or a word without a direction
            if row is not None and self._vectors[row].any():
                return row
        return None


def _words(text: str) -> list[str]:
    """Return the words that are not stop words; all words if there are only stop words."""
    words = [bare for word in text.split() if (bare := word.strip(_PUNCTUATION))]
    return [word for word in words if word.lower() not in STOP_WORDS] or words


def _read(path: Path) -> Any:
    # takes seconds to import, which other text models do not need
    from sentence_transformers.sentence_transformer.modules import WordEmbeddings
    from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer

    try:
        if path.is_file():
            tokenizer = WhitespaceTokenizer(stop_words=STOP_WORDS)
            return WordEmbeddings.from_text_file(str(path), tokenizer=tokenizer)
        if not (path / _WEIGHTS).is_file():
            raise CheckpointError(f"{path / _WEIGHTS} is missing")
        return WordEmbeddings.load(str(path), local_files_only=True)
    except (OSError, ValueError, AttributeError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} holds no word vectors: {error}") from error
