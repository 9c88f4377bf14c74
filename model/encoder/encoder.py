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
    """Maps the clips of videos to features, and the mean of a video's features to a unit vector.

    The mean must be taken before `embed`, whose head is not linear: features of clips that were
    encoded at different times can be averaged to the embedding of any span.
    """

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        ...

    @property
    def runtime(self) -> Runtime:
        """The runtime that computes the embeddings."""
        ...

    @property
    def mixes_frames(self) -> bool:
        """Whether a frame's features depend on the other frames of its clip.

        If not, the features of a clip are the mean of those of its frames.
        """
        ...

    def features(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Compute the features of the clips of B videos of N clips of T frames.

        `pixels` is (B, N, T, 3, H, W) float32 as `preprocess` returns them; the result is (B, N, F)
        float32.
        """
        ...

    def embed(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map (B, F) float32 mean features of B spans to (B, dim) float32 of unit length."""
        ...

    def encode(self, pixels: Tensor) -> npt.NDArray[np.float32]:
        """Embed B videos from their (B, N, T, 3, H, W) pixels: (B, dim) float32 of unit length."""
        return self.embed(self.features(pixels).mean(axis=1))


class ShapedEncoder(Encoder, Protocol):
    """An encoder that must be prepared for each shape of clips before it can encode it."""

    def is_prepared(self, clips: ClipShape) -> bool:
        """Whether videos of this shape can be encoded without preparation."""
        ...

    def prepare(self, clips: ClipShape) -> None:
        """Prepare for this shape; may take minutes."""
        ...
