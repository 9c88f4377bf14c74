"""What a picture's objects and scenes say about actions: knowledge written as text.

For each class that the encoder's word head recognises (ImageNet's 1,000), phrases say what people
do in a video whose frames look like that class; a checkpoint contains them for people to read. A
label's weight for a class is the highest similarity between the label and one of the class's
phrases. It needs no training: a label that was added a moment ago has weights as soon as it has a
text vector.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from model.text.text_encoder import normalise

Vectors = npt.NDArray[np.float32]

# A part of a label's similarity that hardly varies between videos says nothing about them; with
# this minimum it cannot dominate the other part.
_MIN_SPREAD = 1e-4


@dataclass(frozen=True, repr=False, eq=False)
class Knowledge:
    """Maps labels' text vectors to the space of embeddings with an evidence part.

    An embedding is [text part, evidence, one more number]; see `SemanticHead`. `phrases`
    (P, text_dim) float32 are the unit vectors of all phrases, centred as labels are; class i has
    the rows `starts[i]:starts[i + 1]`, at least one. `projection` (classes, evidence_dim) float32
    maps weights to the space of the evidence, where an inner product estimates the mean weight of
    the classes that a video shows. `typical` (classes,) float32 is the mean of the weights over
    many actions; it says nothing about a label and is subtracted. `direct_share` weighs the
    similarity of the text vectors themselves, standardised, against that of the evidence.

    Raises ValueError when the shapes do not fit, and for a `direct_share` that is not finite.
    """

    phrases: Vectors
    starts: npt.NDArray[np.int64]
    projection: Vectors
    typical: Vectors
    direct_share: float

    def __post_init__(self) -> None:
        classes = len(self.projection)
        if self.starts.shape != (classes + 1,) or self.typical.shape != (classes,):
            raise ValueError(
                f"for {classes} classes, starts must be ({classes + 1},) and typical ({classes},), "
                f"not {self.starts.shape} and {self.typical.shape}"
            )
        first, last = int(self.starts[0]), int(self.starts[-1])
        if first != 0 or last != len(self.phrases):
            raise ValueError(
                f"starts must go from 0 to {len(self.phrases)} phrases, not from {first} to {last}"
            )
        if (np.diff(self.starts) < 1).any():
            raise ValueError("every class must have a phrase")
        if not math.isfinite(self.direct_share):
            raise ValueError(f"direct_share must be finite, not {self.direct_share}")

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the contents: labels' vectors depend on all of them."""
        digest = hashlib.sha256(repr(self.direct_share).encode())
        for values in (self.phrases, self.starts, self.projection, self.typical):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.digest()

    def weights(self, texts: Vectors) -> Vectors:
        """Compute the weight of each class for (R, text_dim) text vectors: (R, classes) float32."""
        return np.maximum.reduceat(texts @ self.phrases.T, self.starts[:-1], axis=1)

    def extend(self, texts: Vectors, bank: Vectors) -> Vectors:
        """Map (R, text_dim) unit text vectors to the space of embeddings: (R, dim) float32 unit.

        The similarities of both parts are divided by their spread over the `bank` (M, dim) of
        typical embeddings, M > 0, so that both count for as much as `direct_share` says.
        """
        text_dim, evidence_dim = self.phrases.shape[1], self.projection.shape[1]
        evidence: Vectors = np.matmul(self.weights(texts) - self.typical, self.projection)
        direct_spread = _spread(texts, bank[:, :text_dim])
        evidence_spread = _spread(evidence, bank[:, text_dim : text_dim + evidence_dim])
        nothing = np.zeros((len(texts), 1), np.float32)  # the last number says nothing about labels
        return normalise(
            np.concatenate(
                [
                    np.float32(self.direct_share) * texts / direct_spread,
                    evidence / evidence_spread,
                    nothing,
                ],
                axis=1,
            )
        )


def _spread(vectors: Vectors, bank: Vectors) -> Vectors:
    """Return the spread of each vector's similarity to the bank: (R, 1) float32."""
    spread = (vectors @ bank.T).std(axis=1, keepdims=True)
    bounded: Vectors = np.maximum(spread, np.float32(_MIN_SPREAD))
    return bounded
