"""Teaching a label by example: embeddings of videos blended into the vectors of its words.

Like averaging a few shots into a class's prototype (Snell et al., 2017), beside the words instead
of in their place: the fewer examples there are, the more the words say.
"""

import numpy as np
import numpy.typing as npt

from model.text import normalise


def example_weight(count: int) -> float:
    """The weight, 0..1, of `count` examples beside the label's words, which have the rest."""
    return count / (count + 4.0)


def blend(
    vectors: npt.NDArray[np.float32],
    examples: npt.NDArray[np.float32],
    centre: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Each of a label's (R, dim) unit vectors moved towards its (N, dim) unit examples.

    `centre` (dim,) is the mean embedding of videos of all kinds: what every video has in common
    says nothing about the label. No example leaves the vectors as they are.
    """
    if not len(examples):
        return vectors
    shown = normalise(normalise(examples - centre).mean(axis=0, keepdims=True))
    weight = np.float32(example_weight(len(examples)))
    return normalise((1 - weight) * vectors + weight * shown)
