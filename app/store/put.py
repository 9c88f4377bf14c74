"""Puts labels into a set: embeds those without vectors, then writes all in one transaction."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from sqlalchemy import Connection, Engine

from app.store.database import reading, writing
from app.store.low_priority import Embed
from app.store.reads import found_set, set_row
from app.store.records import (
    Condition,
    NewLabel,
    SetFull,
    SetNotFound,
    WriteStopped,
    Written,
)
from app.store.writes import (
    PrototypesNeeded,
    finish,
    hashes_of_stored,
    lock_set,
    put_labels,
    remove_others,
)
from model import LabelError, Prototypes, UnknownWords, clean_name

# called with the number of labels embedded so far, and their total
Report: TypeAlias = Callable[[int, int], None]
# whether the writer no longer wants the write; called from the thread that writes
Stop: TypeAlias = Callable[[], bool]

# Characters of texts that a core embeds in about 0.3 s: a write looks between two calls of the text
# model whether it must stop.
_CHARACTERS_PER_CORE = 1_280


def put(
    engine: Engine,
    set_name: str,
    labels: Sequence[NewLabel],
    *,
    embed: Embed,
    text_space: str,
    max_labels: int,
    condition: Condition,
    report: Report | None,
    stop: Stop | None,
    remove_rest: bool,
) -> Written:
    """Create or replace labels, and create the set if needed: all labels, or none.

    With `remove_rest`, removes the set's other labels. Raises LabelError, ConditionFailed, SetFull,
    SetDeleted, and WriteStopped soon after `stop` returns True.
    """
    by_key = _by_key(labels)
    if len(by_key) > max_labels:
        raise SetFull(f"a label set may hold {max_labels} labels")

    def check_stop() -> None:
        if stop is not None and stop():
            raise WriteStopped

    def check() -> None:
        check_stop()
        with reading(engine) as connection:
            now = found_set(connection, set_name)
        found.check(set_name, now.revision, now.created_at)

    with reading(engine) as connection:
        found = found_set(connection, set_name)
        to_embed = _without_vectors(connection, set_name, by_key, text_space, condition)
    prototypes: dict[str, Prototypes] = {}
    while True:
        prototypes |= _embed_batches(embed, {key: by_key[key] for key in to_embed}, report, check)
        try:
            with writing(engine) as connection:
                locked = lock_set(connection, set_name, condition, create=True, found=found)
                removed = remove_others(locked, by_key) if remove_rest else 0
                created = put_labels(locked, by_key, prototypes, text_space, check_stop)
                if locked.size + created - removed > max_labels:
                    raise SetFull(f"a label set may hold {max_labels} labels")
                state = finish(locked, created - removed)
        except PrototypesNeeded as error:
            to_embed = error.keys
            continue
        embedded = tuple((by_key[key].label.name, made) for key, made in prototypes.items())
        return Written(state, created, len(by_key) - created, removed, embedded)


def _by_key(labels: Sequence[NewLabel]) -> dict[str, NewLabel]:
    by_key: dict[str, NewLabel] = {}
    for new in labels:
        key = new.key
        if key in by_key:
            raise LabelError(f"{by_key[key].label.name!r} and {new.label.name!r} are one label")
        by_key[key] = replace(new, label=replace(new.label, name=clean_name(new.label.name)))
    return by_key


def _without_vectors(
    connection: Connection,
    set_name: str,
    labels: Mapping[str, NewLabel],
    text_space: str,
    condition: Condition,
) -> Iterable[str]:
    """Return the keys of labels without stored vectors.

    Checks the condition too, so that a write that must fail does not run the text model. The
    condition is checked again under the lock.
    """
    try:
        row = set_row(connection, set_name)
    except SetNotFound:
        condition.check(set_name, None)
        return labels
    condition.check(set_name, row.revision)
    stored = hashes_of_stored(connection, row.id, list(labels), text_space)
    return [key for key, new in labels.items() if stored.get(key) != new.text_hash]


def _embed_batches(
    embed: Embed,
    labels: Mapping[str, NewLabel],
    report: Report | None,
    check: Callable[[], None],
) -> dict[str, Prototypes]:
    """Return the prototypes of labels by key, computed in batches; `check` is called before each.

    Raises LabelError; if unknown words are the reason, it lists those of all batches.
    """
    embedded: dict[str, Prototypes] = {}
    refused: LabelError | None = None
    unknown: list[UnknownWords] = []
    if report is not None:
        report(0, len(labels))
    for batch in _batches(labels):
        check()
        try:
            made = embed([labels[key].label for key in batch])
        except LabelError as error:
            if not error.unknown:
                raise
            refused = refused or error
            unknown += error.unknown
            continue
        embedded.update(zip(batch, made, strict=True))
        if report is not None:
            report(len(embedded), len(labels))
    if refused is not None:
        raise LabelError(str(refused), unknown)
    return embedded


def _batches(labels: Mapping[str, NewLabel]) -> Iterator[list[str]]:
    """Yield the keys in batches with about the same number of characters to embed."""
    max_characters = _CHARACTERS_PER_CORE * len(os.sched_getaffinity(0))
    batch: list[str] = []
    characters = 0
    # the longest text sets the time of a batch: batch names of similar length
    for key in sorted(labels, key=len):
        batch.append(key)
        label = labels[key].label
        texts = (label.name, *label.prompts, *label.aliases, label.description or "")
        characters += sum(map(len, texts))
        if characters >= max_characters:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
