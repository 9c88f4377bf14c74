"""The Encoder protocol, and the runtimes that can compute an encoder's network."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

RuntimeName = Literal["eager", "compile", "openvino"]
ClipShape = tuple[int, int, int, int, int]
"""Shape (N, T, 3, H, W) of one video's pixels: N clips of T frames."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A program that computes a network, and the dtype of its convolutions and matrix products.

    `precision` is torch's name of the dtype: float32, bfloat16 or float16.
    """

    name: RuntimeName
    precision: str

    def __str__(self) -> str:
        return f"{self.name} {self.precision}"


class Encoder(Protocol):
    """Maps the clips of videos to unit vectors."""

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        ...

    @property
    def runtime(self) -> Runtime:
        """The runtime that computes the embeddings."""
        ...

    def encode(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Embed B videos of N clips of T frames.

        `pixels` is (B, N, T, 3, H, W) float32 as `preprocess` returns them; the result is (B, dim)
        float32, each row of unit length.
        """
        ...


class ShapedEncoder(Encoder, Protocol):
    """An encoder that must be prepared for each shape of clips before it can encode it."""

    def is_prepared(self, clips: ClipShape) -> bool:
        """Whether videos of this shape can be encoded without preparation."""
        ...

    def prepare(self, clips: ClipShape) -> None:
        """Prepare for this shape; may take minutes."""
        ...
