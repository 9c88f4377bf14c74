"""Extract verb phrases from captions: "riding a bike" from "a boy in red is riding a bike uphill".

A caption describes everything in its picture, a label only the action. Verb phrases as additional
texts are closer to labels than whole captions (Momeni et al., "Verbs in Action", ICCV 2023). That
paper extracts them with a language model; here a few rules are enough.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from model.text.text_encoder import TextEncoder
from model.training.data.manifest import Sample
from model.training.words.held_out import HeldOut
from model.training.words.overlap import label_overlaps
from model.training.words.text_bank import encode_once

_TOKEN = re.compile(r"[a-z]+(?:['-][a-z]+)*|[^\sa-z]")
_MAX_WORDS = 6
_MIN_COUNT = 3  # occurrences of "is ...ing" for the word to count as a verb
_FORMS_OF_BE = frozenset(("is", "are", "was", "were"))
_NO_ACTIONS = frozenset(("being", "wearing"))  # they describe appearance
_PEOPLE = frozenset(
    (
        *("adult", "adults", "baby", "bicyclist", "biker", "bikers", "boy", "boys", "chef"),
        *("child", "children", "climber", "couple", "crowd", "cyclist", "dancer", "dancers"),
        *("female", "females", "girl", "girls", "guy", "guys", "he", "kid", "kids", "ladies"),
        *("lady", "male", "males", "man", "men", "people", "person", "player", "players"),
        *("rider", "runner", "runners", "she", "skateboarder", "skier", "snowboarder", "someone"),
        *("student", "students", "surfer", "swimmer", "teenager", "teenagers", "they", "toddler"),
        *("woman", "women", "worker", "workers", "youth"),
    )
)
_ANIMALS = frozenset(
    (
        *("animal", "animals", "bear", "bears", "bird", "birds", "cat", "cats", "cow", "cows"),
        *("dog", "dogs", "duck", "ducks", "elephant", "elephants", "giraffe", "giraffes"),
        *("horse", "horses", "it", "kitten", "puppies", "puppy", "sheep", "zebra", "zebras"),
    )
)
_PREPOSITIONS = frozenset(
    (
        *("about", "above", "across", "after", "against", "along", "alongside", "among", "around"),
        *("at", "away", "back", "before", "behind", "beneath", "beside", "between", "by", "down"),
        *("during", "for", "from", "in", "inside", "into", "near", "next", "off", "on", "onto"),
        *("out", "outside", "over", "past", "through", "to", "together", "towards", "toward"),
        *("under", "underneath", "up", "upon", "with"),
    )
)
_ENDS = frozenset(("and", "as", "but", "or", "that", "where", "which", "while", "who"))
_WEAK_ENDS = frozenset(
    (*_PREPOSITIONS, "a", "an", "her", "his", "its", "of", "some", "the", "their", "two", "very")
) - {"away", "back", "down", "off", "out", "together", "up"}


def with_phrases(
    samples: Sequence[Sample], held_out: HeldOut, text: TextEncoder, cache: Path
) -> list[Sample]:
    """Add the phrases of captions as further captions to samples without a label.

    Phrases that overlap with a held-out class by the rules for labels are left out. Vectors of
    phrases are stored in the folder `cache`.
    """
    found = phrases_of([() if sample.label else sample.captions for sample in samples])
    every = sorted({phrase for phrases in found for phrase in phrases})
    gone: set[str] = set()
    if every and held_out.names:
        distances = 1.0 - encode_once(every, text, cache) @ text.encode(held_out.names).T
        gone = {o.text for o in label_overlaps(every, held_out.names, distances, tau=held_out.tau)}
    return [
        replace(sample, captions=(*sample.captions, *(p for p in phrases if p not in gone)))
        for sample, phrases in zip(samples, found, strict=True)
    ]


def phrases_of(captions: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Extract the distinct phrases of each picture's captions.

    A phrase starts with a verb in -ing whose nearest preceding noun is a person. A word counts as a
    verb if it often follows a form of "be" in all captions together.
    """
    tokens = [[_TOKEN.findall(caption.casefold()) for caption in some] for some in captions]
    verbs = _verbs(words for some in tokens for words in some)
    return [
        tuple(dict.fromkeys(p for words in some for p in _phrases(words, verbs))) for some in tokens
    ]


def _verbs(captions: Iterable[Sequence[str]]) -> frozenset[str]:
    counts = Counter(
        word
        for words in captions
        for before, word in pairwise(words)
        if before in _FORMS_OF_BE and word.endswith("ing")
    )
    return frozenset(w for w, count in counts.items() if count >= _MIN_COUNT) - _NO_ACTIONS


def _phrases(words: Sequence[str], verbs: frozenset[str]) -> Iterable[str]:
    is_person = False
    for position, word in enumerate(words):
        if word in _PEOPLE or word in _ANIMALS:
            is_person = word in _PEOPLE
        elif word in verbs and is_person:
            yield _phrase(words[position:], verbs)


def _phrase(words: Sequence[str], verbs: frozenset[str]) -> str:
    """Join the verb at the start of `words` and its object or its first prepositional phrase."""
    chosen = [words[0]]
    has_object = False
    for word in words[1:_MAX_WORDS]:
        is_preposition = word in _PREPOSITIONS
        if not word[0].isalpha() or word in _ENDS or word in verbs or word in _NO_ACTIONS:
            break
        if word in _FORMS_OF_BE or (is_preposition and has_object):
            break
        has_object |= not is_preposition
        chosen.append(word)
    while len(chosen) > 1 and chosen[-1] in _WEAK_ENDS:
        chosen.pop()
    return " ".join(chosen)
