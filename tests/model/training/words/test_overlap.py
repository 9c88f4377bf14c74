"""Texts overlap by equal lemmas, by contained lemmas, or by a small distance."""

import numpy as np
import pytest

from model.training.words.overlap import caption_overlaps, label_overlaps, lemmas


def rule(label: str, held_out: str, distance: float = 0.9, tau: float = 0.25) -> str:
    found = label_overlaps([label], [held_out], np.array([[distance]], np.float32), tau=tau)
    return found[0].rule if found else ""


@pytest.mark.parametrize(
    ("label", "held_out", "expected"),
    [
        ("playing tennis", "tennis", "same lemmas"),
        ("Skiing", "ski", "same lemmas"),
        ("throwing the hammer", "hammer throw", "same lemmas"),
        ("jumping a horse over a fence", "horse jumping", "contains the class"),
        ("jumping", "ski jumping", "inside the class"),
        ("swimming", "ski jumping", ""),
        ("playing cards", "playing chess", ""),
    ],
)
def test_lemmas_decide_at_any_distance(label: str, held_out: str, expected: str) -> None:
    assert rule(label, held_out) == expected


def test_a_distance_below_tau_is_an_overlap_and_tau_itself_is_not() -> None:
    assert rule("skydiving", "parachuting", 0.2) == "distance below 0.25"
    assert rule("skydiving", "parachuting", 0.25) == ""
    assert rule("skydiving", "parachuting", 0.2, tau=0.05) == ""


def test_every_pair_is_compared_and_its_distance_recorded() -> None:
    distances = np.array([[0.5, 0.1], [0.6, 0.7]], np.float32)

    found = label_overlaps(["judo", "luge"], ["luge", "sledding"], distances)

    assert [(overlap.text, overlap.held_out, overlap.rule) for overlap in found] == [
        ("judo", "sledding", "distance below 0.25"),
        ("luge", "luge", "same lemmas"),
    ]
    assert [overlap.distance for overlap in found] == pytest.approx([0.1, 0.6])


def test_a_caption_overlaps_when_it_holds_all_of_a_class() -> None:
    captions = ["A man is throwing a hammer in a field", "a hammer lies on a bench"]

    found = caption_overlaps(captions, ["hammer throw"])

    assert [(overlap.text, overlap.distance) for overlap in found] == [(captions[0], None)]


def test_a_class_of_stop_words_alone_overlaps_with_nothing() -> None:
    assert lemmas("playing with people") == frozenset()
    assert rule("riding a horse", "playing with people") == ""
    assert caption_overlaps(["a person plays"], ["playing"]) == []
