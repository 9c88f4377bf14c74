"""Blend the embeddings of example videos into a label's prototypes.

As prototypical networks average a few examples into a class's prototype (Snell et al., NeurIPS
2017), but in addition to the label's text: the fewer examples, the more weight the text has.
"""

import numpy as np
import numpy.typing as npt

from model.text.text_encoder import normalise

# The text counts like this many examples: of 1, 2, 4 and 8 the best for one or two real clips per
# label (docs/experiments.md, `make bench-examples`).
TEXT_WEIGHT = 4.0


def example_weight(count: int) -> float:
    """Return the weight, 0 to 1, of `count` examples; the label's text has the rest."""
    return count / (count + TEXT_WEIGHT)


def blend(
    vectors: npt.NDArray[np.float32],
    examples: npt.NDArray[np.float32],
    centre: npt.NDArray[np.float32],
    weight: float,
) -> npt.NDArray[np.float32]:
    """Move each of a label's (R, dim) unit vectors towards its (N, dim) unit examples.

    `centre`, (dim,), is the mean embedding of videos of all kinds. It is subtracted, because what
    all videos have in common is no property of the label. The examples have the weight `weight`,
    the vectors 1 - `weight`. Returns (R, dim) float32 unit.
    """
    direction = normalise(normalise(examples - centre).mean(axis=0, keepdims=True))
    return normalise(np.float32(1 - weight) * vectors + np.float32(weight) * direction)
