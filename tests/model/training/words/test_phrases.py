"""Verb phrases are extracted from captions, without those that overlap with held-out classes."""

from pathlib import Path

import pytest

from model.training.data.manifest import Sample
from model.training.words.held_out import HeldOut
from model.training.words.phrases import phrases_of, with_phrases
from tests.support.training_tree import DIM
from tests.support.word_vectors import WordVectors

# enough for every word of it to be known as a verb
VERBS = " . ".join(
    f"she is {verb}" for verb in ("riding", "reading", "drinking", "looking", "running")
)
CORPUS = ([VERBS],) * 3


def phrases(caption: str) -> tuple[str, ...]:
    return phrases_of([*CORPUS, [caption]])[-1]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man in a hat is reading a novel on a park bench .", ("reading a novel",)),
        ("two kids looking up at the big red kites, in a field", ("looking up at the big red",)),
        (
            "A girl riding a bike while drinking from a plastic cup",
            ("riding a bike", "drinking from a plastic cup"),
        ),
        ("A woman is running and a boy is running .", ("running",)),
        ("A man is looking at the", ("looking",)),
    ],
)
def test_a_verb_takes_its_object_or_its_first_prepositions_along(
    caption: str, expected: tuple[str, ...]
) -> None:
    assert phrases(caption) == expected


@pytest.mark.parametrize(
    "caption",
    [
        "A brown dog is running through the grass .",
        "A man watches a dog running on sand",
        "A woman in a swimming pool near a red building",
        "A man is wearing a red hat",
        "Three pairs of jeans",
    ],
)
def test_actions_of_animals_and_things_are_no_phrases(caption: str) -> None:
    assert phrases(caption) == ()


def test_a_word_in_ing_is_a_verb_only_if_it_often_follows_be() -> None:
    assert phrases_of([["a boy is juggling three balls"]] * 2) == [(), ()]
    assert phrases_of([["a boy is juggling three balls"]] * 3) == [("juggling three balls",)] * 3


def sample(name: str, label: str = "", captions: tuple[str, ...] = ()) -> Sample:
    return Sample(Path(name), "", label, captions, "made", "")


def test_phrases_are_added_to_captions_but_not_to_labels(tmp_path: Path) -> None:
    samples = [
        sample("a.png", captions=(VERBS, VERBS, VERBS, "a man is riding a horse")),
        sample("b.png", label="reading", captions=("a man is reading",)),
    ]
    added, labelled = with_phrases(samples, HeldOut(), WordVectors(DIM), tmp_path)

    assert added.captions == (*samples[0].captions, *added.captions[4:])
    assert {"riding a horse", "reading"} <= set(added.captions[4:])
    assert labelled == samples[1]


def test_a_phrase_that_overlaps_with_a_held_out_class_is_left_out(tmp_path: Path) -> None:
    held_out = HeldOut(test=("horse riding",), validation=("reading a book",))
    captions = (VERBS, VERBS, VERBS, "a man is riding a horse", "a man is reading a large book")
    (added,) = with_phrases(
        [sample("a.png", captions=captions)], held_out, WordVectors(DIM), tmp_path
    )

    # the same lemmas, inside a class, around one
    assert set(added.captions[5:]) == {"drinking", "looking", "running"}
