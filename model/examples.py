"""Teaching a label by example: embeddings of videos blended into the vectors of its words.

Like averaging a few shots into a class's prototype (Snell et al., 2017), beside the words instead
of in their place: the fewer examples there are, the more the words say.
"""

import numpy as np
import numpy.typing as npt

from model.text.text_encoder import normalise

# Of 1, 2, 4 and 8 the best for one or two real clips a label (docs/experiments.md).
WORDS_COUNT = 4.0


def example_weight(count: int) -> float:
    """The weight, 0..1, of `count` examples beside the label's words, which have the rest.

    The words count like four examples: `make bench-examples` compares with other numbers.
    """
    return count / (count + WORDS_COUNT)


def blend(
    vectors: npt.NDArray[np.float32],
    examples: npt.NDArray[np.float32],
    centre: npt.NDArray[np.float32],
    weight: float,
) -> npt.NDArray[np.float32]:
    """Each of a label's (R, dim) unit vectors moved towards its (N, dim) unit examples.

    `centre` (dim,) is the mean embedding of videos of all kinds: what every video has in common
    says nothing about the label. The examples have the `weight`, the vectors the rest.
    """
    shown = normalise(normalise(examples - centre).mean(axis=0, keepdims=True))
    return normalise(np.float32(1 - weight) * vectors + np.float32(weight) * shown)
