"""Another text model in the place of a checkpoint's own, such as one that knows more languages.

A checkpoint's videos were trained into one text space. Another model's vectors mean something there
only if it was distilled from the first one (Reimers & Gurevych, 2020); vectors of the same length
alone prove nothing, so it is tried.
"""

import numpy as np

from model.errors import CheckpointError
from model.text.labels import TextEncoder
from model.text.source import load_text_encoder

# Anything plain will do, as long as no two mean much the same.
_PROBES = (
    "a horse in a field",
    "two people playing chess",
    "somebody cuts vegetables",
    "a plane takes off",
    "children swimming in a lake",
    "snow on a mountain",
    "a man plays the violin",
    "reading a newspaper",
    "an empty street at night",
    "driving a tractor",
    "a dog catches a ball",
    "baking bread",
    "washing a car",
    "a football match",
    "climbing a ladder",
    "a woman paints a wall",
    "fireworks",
    "fishing from a boat",
    "lifting weights",
    "a baby laughs",
)
# Of the probes, so many must be nearest to themselves; two unrelated spaces reach 1 in 20.
_LEAST_FOUND = 0.8


def load_text_instead(name_or_path: str, own: TextEncoder, *, device: str = "cpu") -> TextEncoder:
    """The text model of that name, in whose space the vectors of `own` have the same meaning.

    Raises CheckpointError when it cannot be loaded, has vectors of another length, or lies in
    another space.
    """
    other = load_text_encoder(name_or_path, device=device)
    if other.dim != own.dim:
        raise CheckpointError(
            f"text model {name_or_path} has vectors of length {other.dim}, "
            f"the checkpoint's text space has {own.dim}"
        )
    found = (own.encode(_PROBES) @ other.encode(_PROBES).T).argmax(axis=0)
    share = float(np.mean(found == np.arange(len(_PROBES))))
    if share < _LEAST_FOUND:
        raise CheckpointError(
            f"text model {name_or_path} lies in another space than the checkpoint's own: it finds "
            f"{share:.0%} of {len(_PROBES)} plain phrases there. It must have been distilled from "
            f"the checkpoint's text model"
        )
    return other
