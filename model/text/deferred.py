"""A text model that is loaded at its first use."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from model.errors import CheckpointError
from model.text.text_encoder import KnowsWords, TextEncoder


class DeferredTextEncoder:
    """Stands in for a text model, and calls `load` when a text has to be encoded.

    `name`, `dim` and `model_hash` are those that the checkpoint states. To import and load a text
    model takes seconds, which a program can do without that only compares videos with vectors.
    """

    def __init__(
        self, load: Callable[[], TextEncoder], name: str, dim: int, model_hash: str
    ) -> None:
        self._load = load
        self._name = name
        self.dim = dim
        self.model_hash = model_hash

    @cached_property
    def _text(self) -> TextEncoder:
        text = self._load()
        check_text_model(text, self._name, self.dim, self.model_hash)
        return text

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Map (N,) texts to (N, dim) float32 unit vectors.

        Raises LabelError, and at the first call the CheckpointError of the text model.
        """
        return self._text.encode(texts)

    def unknown_words(self, text: str, language: str | None = None) -> tuple[str, ...]:
        """Return the words that the text model does not know; none if it cannot tell."""
        return (
            self._text.unknown_words(text, language) if isinstance(self._text, KnowsWords) else ()
        )


def check_text_model(text: TextEncoder, name: str, dim: int, model_hash: str) -> None:
    """Raise CheckpointError unless the model has the length and the digest that are expected.

    `name` is that of the checkpoint's text model. An empty `model_hash` fits every model.
    """
    if text.dim != dim:
        raise CheckpointError(
            f"the text model's vectors have length {text.dim}, the encoder's {dim}; "
            f"use the text model that the checkpoint was trained with, {name}"
        )
    if model_hash and text.model_hash != model_hash:
        raise CheckpointError(
            f"text model {name} has sha256 {text.model_hash}, "
            f"the checkpoint was trained with {model_hash}"
        )
