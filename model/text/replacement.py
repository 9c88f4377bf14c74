"""Replace a checkpoint's text model by another, such as a multilingual one.

A checkpoint's video encoder was trained into one text space. Another text model has the same space
only if it was distilled from the first one (Reimers & Gurevych, 2020). Equal vector length does not
prove it, so the loader compares both models on probe phrases.
"""

import numpy as np

from model.errors import CheckpointError
from model.text.source import load_text_encoder
from model.text.text_encoder import TextEncoder

# Plain phrases, no two of which mean the same.
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
# Minimum share of probes that must be nearest to themselves; two unrelated spaces reach 1 in 20.
_MIN_SHARE_FOUND = 0.8


def load_text_instead(name_or_path: str, own: TextEncoder, *, device: str = "cpu") -> TextEncoder:
    """Load a text model that shares the text space of `own`.

    Raises CheckpointError when the model cannot be loaded, or has another vector length or another
    text space.
    """
    other = load_text_encoder(name_or_path, device=device)
    if other.dim != own.dim:
        raise CheckpointError(
            f"text model {name_or_path} has vectors of length {other.dim}, "
            f"the checkpoint's text space has {own.dim}"
        )
    found = (own.encode(_PROBES) @ other.encode(_PROBES).T).argmax(axis=0)
    share = float(np.mean(found == np.arange(len(_PROBES))))
    if share < _MIN_SHARE_FOUND:
        raise CheckpointError(
            f"text model {name_or_path} has another space than the checkpoint's text model: only "
            f"{share:.0%} of {len(_PROBES)} probe phrases are nearest to themselves. Use a model "
            f"that was distilled from the checkpoint's text model"
        )
    return other
