"""Warnings about new labels: near duplicates, and names that the text model does not know."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field

from app.errors import InvalidLabel
from app.labels.fields import invalid_labels
from app.store import LabelStore, NewLabel, SetState, Written
from model import (
    Hit,
    KinolexError,
    KnowsWords,
    LabelError,
    LabelIndex,
    TextEncoder,
    UnknownWords,
    label_key,
)

# Minimum cosine similarity of near duplicates. The nearest pair among the default labels, two kinds
# of football, is at 0.84; "riding a horse" and "horse riding" are at 0.97.
NEAR_DUPLICATE = 0.9
# For more new labels, the warnings would take longer than the embedding.
MAX_ADVISED = 1_000
# Hits per label: the index ranks by calibrated similarity, so a near duplicate may not be first.
_NEIGHBOURS = 5


class Warned(BaseModel):
    """A warning about a label that is allowed but may be a mistake."""

    pointer: str = Field(description="JSON pointer to the label in the request.")
    code: str
    detail: str


def advise(
    store: LabelStore,
    label_set: str,
    labels: Sequence[NewLabel],
    written: Written,
    text: TextEncoder,
) -> list[Warned]:
    """Return warnings about those of `labels` with new texts, in their order.

    The labels are stored already, so this never fails: errors become a `not_advised` warning.
    Blocks on the database and on the index.
    """
    if not written.embedded:
        return []
    if len(written.embedded) > MAX_ADVISED:
        return [not_advised(f"more than {MAX_ADVISED:,} of the labels are new")]
    vectors = {label_key(name): prototypes.vectors[:1] for name, prototypes in written.embedded}
    positions = {new.key: position for position, new in enumerate(labels)}
    try:
        index = store.snapshot(label_set).index
    except KinolexError as error:
        return [not_advised(str(error))]
    warnings: list[Warned] = []
    for key in (key for key in positions if key in vectors):
        name = labels[positions[key]].label.name
        if _is_unknown(name, text):
            code, detail = "not_understood", f"{name!r} has no word that the model knows"
        elif (hit := _near_duplicate(index, key, vectors[key], positions)) is not None:
            code = "near_duplicate"
            detail = f"{name!r} means much the same as {hit.name!r} ({hit.similarity:.2f})"
        else:
            continue
        warnings.append(Warned(pointer=f"#/labels/{positions[key]}", code=code, detail=detail))
    return warnings


def _is_unknown(name: str, text: TextEncoder) -> bool:
    unknown = text.unknown_words(name) if isinstance(text, KnowsWords) else ()
    return bool(unknown) and len(unknown) == len(name.split())


def _near_duplicate(
    index: LabelIndex,
    key: str,
    vector: npt.NDArray[np.float32],
    positions: Mapping[str, int],
) -> Hit | None:
    """Return the nearest duplicate of a label, or None.

    Of two new labels that are near duplicates, only the later one is reported.
    """
    for hit in index.search(vector, _NEIGHBOURS)[0]:
        other = label_key(hit.name)
        if other == key or positions.get(other, -1) > positions[key]:
            continue
        if hit.similarity >= NEAR_DUPLICATE:
            return hit
    return None


def not_advised(reason: str) -> Warned:
    """Return the warning that the labels were stored but not checked."""
    detail = f"not looked for near duplicates and words that the model does not know: {reason}"
    return Warned(pointer="#", code="not_advised", detail=detail)


def advise_on_size(state: SetState, many_labels: int) -> list[Warned]:
    """Return a warning when the set has more than `many_labels` labels."""
    if state.size <= many_labels:
        return []
    detail = f"{state.name!r} holds {state.size} labels, more than {many_labels}"
    return [Warned(pointer="#", code="many_labels", detail=detail)]


def put_or_point(put: Callable[[], Written], labels: Sequence[NewLabel]) -> Written:
    """Call `put`, which stores `labels`, and return its result.

    Raises InvalidLabel with a JSON pointer to each text that has words without a vector. Other
    LabelErrors pass unchanged.
    """
    try:
        return put()
    except LabelError as error:
        if not error.unknown:
            raise
        positions = {new.key: position for position, new in enumerate(labels)}
        texts = sorted(error.unknown, key=lambda text: positions[label_key(text.label)])
        faults = [
            (_path(positions[label_key(text.label)], text), f"no vector for {_quoted(text.words)}")
            for text in texts
        ]
        raise invalid_labels(faults, InvalidLabel) from error


def _path(label: int, text: UnknownWords) -> tuple[str | int, ...]:
    path = ("labels", label, text.field)
    return path if text.position is None else (*path, text.position)


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(map(repr, words))
