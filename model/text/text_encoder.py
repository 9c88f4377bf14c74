"""The interface of text models: texts to unit vectors, and the words that a model does not know."""

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
        """Maps (N,) texts to (N, dim) float32 unit vectors.

        Raises LabelError when the model has no vector for a text.
        """
        ...


@runtime_checkable
class KnowsWords(Protocol):
    """A text encoder that can tell which words it does not know."""

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """Returns the words of the text that the encoder does not know."""
        ...


def normalise(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns the rows of (N, D) scaled to unit length; a row of zeros stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: npt.NDArray[np.float32] = np.divide(
        vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0
    )
    return unit
