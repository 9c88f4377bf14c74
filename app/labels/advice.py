"""What a caller may want to know about labels just put: like another one, or not understood."""

from collections.abc import Callable, Iterator, Sequence

from pydantic import BaseModel, Field

from app.errors import InvalidLabel
from app.labels.fields import invalid_labels
from app.store import LabelStore, NewLabel, SetState, Written
from model import KinolexError, KnowsWords, Label, LabelError, TextEncoder, label_key

# Cosine of two labels' vectors. Among our everyday actions the nearest pair, two kinds of
# football, is at 0.84; "riding a horse" and "horse riding" are at 0.97.
NEAR_DUPLICATE = 0.9
# Advice for a larger import would cost more than its embedding.
MOST_ADVISED = 1_000
# Others are ranked higher now and then: the index orders by calibrated similarity.
_NEIGHBOURS = 5


class Warned(BaseModel):
    """Something about a label that is allowed and perhaps not meant."""

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
    """Warnings about those of `labels` whose texts are new, in their order.

    One that says so where there is no advice; what is stored stays stored, so it never fails.
    Blocks on the database and on the index.
    """
    if not written.embedded:
        return []
    if len(written.embedded) > MOST_ADVISED:
        return [not_advised(f"more than {MOST_ADVISED:,} of the labels are new")]
    vectors = {label_key(name): prototypes.vectors[:1] for name, prototypes in written.embedded}
    positions = {new.key: position for position, new in enumerate(labels)}
    try:
        index = store.snapshot(label_set).index
    except KinolexError as error:
        return [not_advised(str(error))]
    warnings: list[Warned] = []
    for key in (key for key in positions if key in vectors):
        position = positions[key]
        name = labels[position].label.name
        unknown = text.unknown_words(name) if isinstance(text, KnowsWords) else ()
        if unknown and len(unknown) == len(name.split()):
            warnings.append(
                _warned(position, "not_understood", f"{name!r} has no word that the model knows")
            )
            continue
        for hit in index.search(vectors[key], _NEIGHBOURS)[0]:
            other = label_key(hit.name)
            # of two new labels that are alike, the later one is told
            if other == key or positions.get(other, -1) > position:
                continue
            if hit.similarity >= NEAR_DUPLICATE:
                likeness = f"{name!r} means much the same as {hit.name!r} ({hit.similarity:.2f})"
                warnings.append(_warned(position, "near_duplicate", likeness))
                break
    return warnings


def not_advised(reason: str) -> Warned:
    """Says that the labels were stored without a look at what they are like."""
    detail = f"not looked for near duplicates and words that the model does not know: {reason}"
    return Warned(pointer="#", code="not_advised", detail=detail)


def advise_on_size(state: SetState, many_labels: int) -> list[Warned]:
    """A warning when the set has become larger than `many_labels`."""
    if state.size <= many_labels:
        return []
    detail = f"{state.name!r} holds {state.size} labels, more than {many_labels}"
    return [Warned(pointer="#", code="many_labels", detail=detail)]


def put_or_point(
    put: Callable[[], Written], labels: Sequence[NewLabel], text: TextEncoder
) -> Written:
    """What `put` did with the labels.

    Where a text model of whole words has no vector for some, raises InvalidLabel with a pointer to
    each text that holds such a word; other LabelErrors go on as they are.
    """
    try:
        return put()
    except LabelError as error:
        if not isinstance(text, KnowsWords):
            raise
        faults = [
            (("labels", position, *path), f"no vector for {', '.join(map(repr, words))}")
            for position, new in enumerate(labels)
            for path, said in _texts(new.label)
            if (words := text.unknown_words(said))
        ]
        if not faults:
            raise
        raise invalid_labels(faults, InvalidLabel) from error


def _texts(label: Label) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The label's texts, each with its path in the label's JSON."""
    yield ("name",), label.name
    for field, texts in (("prompts", label.prompts), ("aliases", label.aliases)):
        yield from (((field, position), said) for position, said in enumerate(texts))
    if label.description:
        yield ("description",), label.description


def _warned(position: int, code: str, detail: str) -> Warned:
    return Warned(pointer=f"#/labels/{position}", code=code, detail=detail)
