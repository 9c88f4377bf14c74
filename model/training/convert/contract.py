"""Checks that an imported model is used as it was trained: size, mean, pooling, tokenizer.

A model that is used otherwise gives embeddings that look plausible and are wrong. Each error begins
with the name of what does not fit.
"""

import math
from collections.abc import Sequence
from typing import Any

from model.errors import CheckpointError

# Every tokenizer of a model that was trained on English captions has pieces for these words.
_PROBES = ("a person riding a horse", "playing the violin", "two dogs in the snow")

_OLD_END = 2


def check_size(found: int, wanted: int, what: str) -> None:
    """Refuse a processor whose pictures have another size than the tower's, in pixels."""
    if found != wanted:
        raise CheckpointError(
            f"size: {what} gives pictures of {found} px, the vision tower takes {wanted} px"
        )


def check_pixels(mean: Sequence[float], std: Sequence[float]) -> None:
    """Refuse a normalisation that is not one of three channels on the scale 0..1."""
    right = len(mean) == len(std) == 3 and all(map(math.isfinite, (*mean, *std)))
    if not right or not all(0.0 <= each <= 1.0 for each in mean) or min(std) <= 0.0:
        raise CheckpointError(
            f"mean: mean and std of three channels on the scale 0..1 are needed, not {list(mean)} "
            f"and {list(std)}"
        )


def check_rescaling(processor: Any) -> None:
    """Refuse an image processor that does not map 0..255 to 0..1 before it normalises."""
    factor = getattr(processor, "rescale_factor", 1 / 255)
    if not getattr(processor, "do_rescale", True) or abs(float(factor) * 255 - 1) > 1e-3:
        raise CheckpointError(
            f"mean: the processor scales pixels by {factor}, and not from 0..255 to 0..1"
        )


def check_tokenizer(tokenizer: Any, vocabulary: int) -> None:
    """Refuse a tokenizer that is not the one that the text tower was trained with.

    Plain English must have tokens with letters, which the tower has vectors for.
    """
    unknown = getattr(tokenizer, "unk_token_id", None)
    found = {
        each for text in _PROBES for each in tokenizer(text, add_special_tokens=False)["input_ids"]
    }
    if found and max(found) >= vocabulary:
        raise CheckpointError(
            f"tokenizer: it has a token {max(found)}, the text tower has {vocabulary} tokens"
        )
    tokens = tokenizer.convert_ids_to_tokens(sorted(found - {unknown}))
    if not any(any(sign.isalnum() for sign in token) for token in tokens):
        raise CheckpointError("tokenizer: it knows no word of plain English captions")


def check_end_token(tokenizer: Any, end: int) -> None:
    """Refuse a tokenizer whose texts do not have the token whose vector CLIP's text tower takes.

    `end` is the token in the tower's configuration. Old configurations say 2, and the token with
    the highest number is taken.
    """
    ids = tokenizer(_PROBES[0])["input_ids"]
    taken = max(ids) if end == _OLD_END else end
    if taken not in ids or taken != ids[-1]:
        raise CheckpointError(
            f"pooling: the text tower takes the vector of token {taken}, its tokenizer ends texts "
            f"with token {ids[-1]}"
        )
