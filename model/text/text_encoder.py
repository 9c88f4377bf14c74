"""The interface of text models, which map texts to unit vectors and may report unknown words."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt


class TextEncoder(Protocol):
    """Maps texts to unit vectors; `model_hash` identifies its text space."""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def model_hash(self) -> str:
        """Hex digest that changes when the vector of any text changes."""
        ...

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Map (N,) texts to (N, dim) float32 unit vectors.

        Raises LabelError when the model has no vector for a text.
        """
        ...


@runtime_checkable
class KnowsWords(Protocol):
    """A text encoder that can tell which words it does not know."""

    def unknown_words(self, text: str, language: str | None = None) -> tuple[str, ...]:
        """Return the words of the text that the encoder does not know.

        `language` is the text's BCP 47 tag, if it is known.
        """
        ...


def normalise(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the rows of (N, D) scaled to unit length; a row of zeros stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: npt.NDArray[np.float32] = np.divide(
        vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0
    )
    return unit
