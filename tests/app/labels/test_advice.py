"""Advice with the default text model: the default labels get no warnings, noise does."""

import numpy as np
import pytest

from app.labels.advice import near_duplicate_similarity
from app.store import everyday_actions
from model import KnowsWords, Label, Tagger, load_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return load_checkpoint()


def test_words_are_known_and_noise_is_not(tagger: Tagger) -> None:
    assert isinstance(tagger.text, KnowsWords)

    for noise in ("asdfgh", "xqzvw", "跳舞", "🙂", "!!!"):
        assert tagger.text.unknown_words(noise) == (noise,)
    for known in ("riding a horse", "zumba", "capoeira", "kitesurfing", "123"):
        assert tagger.text.unknown_words(known) == ()


@pytest.mark.parametrize(
    "text",
    [
        *("Fahrrad fahren", "auf einem Pferd reiten", "laufen", "Ski fahren", "Zähne putzen"),
        *(
            "走る",
            "馬に乗る",
            "ピアノを弾く",
            "コーヒーを飲む",
            "ركوب الخيل",
            "سباحة",
            "骑马",
            "말타기",
        ),
        *("montar en bicicleta", "bisiklet sürmek", "езда на велосипеде", "घुड़सवारी"),
    ],
)
def test_a_label_in_another_language_is_not_understood(tagger: Tagger, text: str) -> None:
    assert isinstance(tagger.text, KnowsWords)

    assert tagger.text.unknown_words(text) == tuple(text.split())


def test_the_language_of_a_label_counts_where_its_words_do_not_tell(tagger: Tagger) -> None:
    assert isinstance(tagger.text, KnowsWords)

    assert tagger.text.unknown_words("Tennis", "de-AT") == ("Tennis",)
    assert tagger.text.unknown_words("Tennis", "en-GB") == tagger.text.unknown_words("Tennis") == ()


def test_the_default_labels_are_known_and_no_two_are_near_duplicates(
    tagger: Tagger,
) -> None:
    names = everyday_actions()
    vectors = np.concatenate([p.vectors[:1] for p in tagger.prototypes([*map(Label, names)])])
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, 0)

    assert 380 <= len(names) <= 420
    assert isinstance(tagger.text, KnowsWords)
    assert all(len(tagger.text.unknown_words(name)) < len(name.split()) for name in names)
    assert similarities.max() < near_duplicate_similarity(tagger.encoder.dim, tagger.text.dim)
