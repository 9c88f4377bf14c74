"""Prompt templates applied to labels, and prompts averaged to one vector for each prototype."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from model.errors import TextField, UnknownWords
from model.text.labels import Label, clean_name, plain_text
from model.text.text_encoder import KnowsWords, TextEncoder, normalise


def prompts_of(label: Label, templates: Sequence[str]) -> list[list[str]]:
    """Return the prompts of a label's prototypes: one list for the name, one for each alias.

    Every template contains one `{}`, which the name replaces. The name's list also contains the
    label's own prompts and its description. All are `plain_text`.
    """
    named, *aliased = (
        [template.replace("{}", plain_text(clean_name(name))) for template in templates]
        for name in (label.name, *label.aliases)
    )
    named += map(plain_text, label.prompts)
    if label.description:
        named.append(plain_text(f"{label.name}: {label.description}"))
    return [named, *aliased]


def unknown_words(labels: Iterable[Label], encoder: TextEncoder) -> list[UnknownWords]:
    """Return the texts with words that the encoder does not know, in the order of the labels.

    Empty when the encoder cannot tell.
    """
    if not isinstance(encoder, KnowsWords):
        return []
    return [
        UnknownWords(label.name, field, position, words)
        for label in labels
        for field, position, text in _texts(label)
        if (words := encoder.unknown_words(plain_text(text)))
    ]


def _texts(label: Label) -> Iterator[tuple[TextField, int | None, str]]:
    yield "name", None, label.name
    for position, text in enumerate(label.prompts):
        yield "prompts", position, text
    for position, text in enumerate(label.aliases):
        yield "aliases", position, text
    if label.description:
        yield "description", None, label.description


def prototype_vectors(
    grouped_prompts: Sequence[Sequence[str]], encoder: TextEncoder, mean: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return one unit vector for each group of prompts: (G, dim) float32.

    The prompts' vectors are averaged, normalised, centred by the checkpoint's `mean` (dim,) and
    normalised again: sentence embeddings of class names lie on one side of the sphere, and
    centring spreads them. Raises LabelError when the encoder has no vector for a prompt.
    """
    flat = [prompt for group in grouped_prompts for prompt in group]
    if not flat:
        return np.empty((0, encoder.dim), np.float32)
    starts = np.cumsum([0, *(len(group) for group in grouped_prompts)])[:-1]
    sums = np.add.reduceat(encoder.encode(flat), starts, axis=0).astype(np.float32)
    return normalise(normalise(sums) - mean)
