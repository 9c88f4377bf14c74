"""Warnings about new labels: near duplicates, negations, and texts that the model does not know."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic import BaseModel, Field

from app.errors import InvalidLabel
from app.labels.fields import invalid_labels
from app.store import LabelStore, NewLabel, SetState, Written
from model import (
    KinolexError,
    KnowsWords,
    LabelError,
    LabelIndex,
    Prototypes,
    TextEncoder,
    UnknownWords,
    label_key,
    look_alike_letters,
    plain_text,
)

# Minimum cosine similarity of near duplicates. The nearest pair among the default labels, two kinds
# of football, is at 0.83; "riding a horse" and "horse riding" are at 0.96. With evidence, which is
# alike for similar actions, these are at 0.982 and 0.991.
_NEAR_DUPLICATE = 0.9
_NEAR_DUPLICATE_WITH_EVIDENCE = 0.985
# For more new labels, the warnings would take longer than the embedding.
MAX_ADVISED = 1_000
# Hits per label: the index ranks by calibrated similarity, so a near duplicate may not be first.
_NEIGHBOURS = 5
# Sentence embeddings of "running" and "not running" have a cosine similarity of 0.755.
_NEGATION = re.compile(
    r"\b(?:not|never|without|nobody|nothing|none|neither|nor|cannot|no(?!-)|excluding|except"
    r"|lacking|(?:absence|lack) of|anything but|other than)\b|\w+n['\u2019]t\b|\bnon-\w+",
    re.IGNORECASE,
)


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
    embedded = {label_key(name): prototypes for name, prototypes in written.embedded}
    positions = {new.key: position for position, new in enumerate(labels)}
    try:
        index = store.snapshot(label_set).index
    except KinolexError as error:
        return [not_advised(str(error))]
    min_similarity = near_duplicate_similarity(index.dim, text.dim)
    warnings: list[Warned] = []
    for key, position in positions.items():
        if key in embedded:
            pointer = f"#/labels/{position}"
            unknown = list(_not_understood(labels[position], text, pointer))
            duplicates = _near_duplicates(
                index, key, embedded[key], positions, pointer, min_similarity
            )
            known = {each.pointer for each in unknown}
            warnings += unknown
            warnings += [each for each in duplicates if each.pointer not in known]
            warnings += _negations(labels[position], pointer)
            warnings += _look_alikes(labels[position], pointer)
    return warnings


def near_duplicate_similarity(dim: int, text_dim: int) -> float:
    """Return the minimum cosine of near duplicates among label vectors of length `dim`.

    They are longer than the text model's where a checkpoint compares labels with evidence too.
    """
    return _NEAR_DUPLICATE_WITH_EVIDENCE if dim > text_dim else _NEAR_DUPLICATE


def _not_understood(new: NewLabel, text: TextEncoder, pointer: str) -> Iterator[Warned]:
    """Yield a warning for the name, and for each alias, that has no word the text model knows."""
    if not isinstance(text, KnowsWords):
        return
    for at, name in _names(new, pointer):
        plain = plain_text(name)
        unknown = text.unknown_words(plain, new.language)
        if unknown and len(unknown) == len(plain.split()):
            detail = (
                f"the text model knows no word of {name!r}; describe the action in English, or use "
                "a text model for this language (KINOLEX_TEXT_MODEL)"
            )
            yield Warned(pointer=at, code="not_understood", detail=detail)


def _near_duplicates(
    index: LabelIndex,
    key: str,
    made: Prototypes,
    positions: Mapping[str, int],
    pointer: str,
    min_similarity: float,
) -> Iterator[Warned]:
    """Yield a warning for the name, and for each alias, that means the same as another label.

    Of two new labels that are near duplicates, only the later one is reported.
    """
    found = index.search(made.vectors, _NEIGHBOURS)
    for row, (text, hits) in enumerate(zip(made.texts, found, strict=True)):
        for hit in hits:
            other = label_key(hit.name)
            is_later = positions.get(other, -1) > positions[key]
            if other != key and not is_later and hit.similarity >= min_similarity:
                is_alias = label_key(hit.text) != other
                named = f"{hit.text!r}, an alias of {hit.name!r}" if is_alias else repr(hit.name)
                yield Warned(
                    pointer=f"{pointer}/aliases/{row - 1}" if row else pointer,
                    code="near_duplicate",
                    detail=f"{text!r} means much the same as {named} ({hit.similarity:.2f})",
                )
                break


def _negations(new: NewLabel, pointer: str) -> Iterator[Warned]:
    """Yield a warning for each name, alias and prompt that says what is not shown."""
    prompts = [(f"{pointer}/prompts/{n}", text) for n, text in enumerate(new.label.prompts)]
    for at, text in [*_names(new, pointer), *prompts]:
        if found := _NEGATION.search(text):
            detail = (
                f"the text model hardly sees the {found[0]!r} in {text!r}: videos that show "
                "what is denied get the label too; describe what is shown instead"
            )
            yield Warned(pointer=at, code="negation", detail=detail)


def _look_alikes(new: NewLabel, pointer: str) -> Iterator[Warned]:
    """Yield a warning for each name and alias with a letter of another script that looks Latin."""
    for at, name in _names(new, pointer):
        if letters := look_alike_letters(name):
            named = ", ".join(unicodedata.name(letter) for letter in letters)
            detail = (
                f"{name!r} has a letter that only looks Latin ({named}): the text model reads "
                "another word, and the name in Latin letters is another label"
            )
            yield Warned(pointer=at, code="look_alike", detail=detail)


def _names(new: NewLabel, pointer: str) -> list[tuple[str, str]]:
    aliases = [(f"{pointer}/aliases/{n}", name) for n, name in enumerate(new.label.aliases)]
    return [(pointer, new.label.name), *aliases]


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
