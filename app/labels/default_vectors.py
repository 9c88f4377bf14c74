"""Text vectors of the default labels, so that a first start does not run the text model on them.

`default_vectors.safetensors` has the vectors that the default checkpoint's text model gave to the
prompts of `default_labels.txt`. Another text model is asked itself, and so is any for other texts.
`make default-vectors` writes the file again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from app.store import everyday_actions
from model import KnowsWords, Label, Tagger, TextEncoder, load_checkpoint

DEFAULT_VECTORS = Path(__file__).parents[1] / "default_vectors.safetensors"
_VECTORS, _TEXTS, _MODEL = "vectors", "texts", "text_model_sha256"


class KnownTexts:
    """A text model with texts whose vectors are known: the rows of (N, dim) float32 `vectors`."""

    def __init__(
        self, text: TextEncoder, rows: Mapping[str, int], vectors: npt.NDArray[np.float32]
    ) -> None:
        self._text = text
        self._rows = rows
        self._vectors = vectors

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._text.dim

    @property
    def model_hash(self) -> str:
        """Digest of the text model, which gave the known vectors too."""
        return self._text.model_hash

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Map (N,) texts to (N, dim) float32 unit vectors; only unknown ones are encoded.

        Raises LabelError when the model has no vector for a text.
        """
        vectors = np.empty((len(texts), self.dim), np.float32)
        new = []
        for place, text in enumerate(texts):
            row = self._rows.get(text)
            if row is None:
                new.append(place)
            else:
                vectors[place] = self._vectors[row]
        if new:
            vectors[new] = self._text.encode([texts[place] for place in new])
        return vectors

    def unknown_words(self, text: str, language: str | None = None) -> tuple[str, ...]:
        """Return the words that the text model does not know; none if it cannot tell."""
        if isinstance(self._text, KnowsWords):
            return self._text.unknown_words(text, language)
        return ()


def with_default_vectors(tagger: Tagger, path: Path = DEFAULT_VECTORS) -> Tagger:
    """Return the tagger with the file's vectors, or unchanged if another model gave them.

    A file that is missing or damaged is not used either: it only saves time.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            found = file.metadata() or {}
            if found.get(_MODEL) != tagger.text.model_hash:
                return tagger
            texts, vectors = json.loads(found[_TEXTS]), file.get_tensor(_VECTORS)
    except (OSError, SafetensorError, KeyError, ValueError):
        return tagger
    if vectors.shape != (len(texts), tagger.text.dim) or vectors.dtype != np.float32:
        return tagger
    rows = {text: row for row, text in enumerate(texts)}
    return replace(tagger, text=KnownTexts(tagger.text, rows, vectors))


class _Recorder:
    """A text model that notes what it encodes."""

    def __init__(self, text: TextEncoder) -> None:
        self._text = text
        self.dim, self.model_hash = text.dim, text.model_hash
        self.vectors: dict[str, npt.NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        vectors = self._text.encode(texts)
        self.vectors.update(zip(texts, vectors, strict=True))
        return vectors


def write_default_vectors(tagger: Tagger, path: Path = DEFAULT_VECTORS) -> None:
    """Write the vectors that the tagger's text model gives to the prompts of the default labels."""
    recorder = _Recorder(tagger.text)
    replace(tagger, text=recorder).prototypes([Label(name) for name in everyday_actions()])
    save_file(
        {_VECTORS: np.stack(list(recorder.vectors.values()))},
        path,
        {_MODEL: recorder.model_hash, _TEXTS: json.dumps(list(recorder.vectors))},
    )


if __name__ == "__main__":
    write_default_vectors(load_checkpoint())
