"""Knowledge: what a label's words say about the classes of the pictures, by hand."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from model.text.knowledge import Knowledge

# Two classes: the first has two phrases, the second one.
PHRASES = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], np.float32)
PARTS: dict[str, Any] = {
    "phrases": PHRASES,
    "starts": np.array([0, 2, 3]),
    "projection": np.array([[2.0], [1.0]], np.float32),
    "typical": np.array([0.5, 0.25], np.float32),
    "direct_share": 0.5,
}
# [text part of 2, evidence of 1, one more number]
BANK = np.array([[1.0, 0.0, 0.5, 0.2], [0.0, 1.0, -0.5, 0.3], [-1.0, 0.0, 0.0, 0.1]], np.float32)
LABELS = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)


def test_a_label_weighs_a_class_by_its_most_similar_phrase() -> None:
    weights = Knowledge(**PARTS).weights(LABELS)
    np.testing.assert_allclose(weights, [[1.0, 0.0], [0.8, 1.0]], atol=1e-6)


def test_a_label_is_its_words_and_its_evidence_each_divided_by_its_spread() -> None:
    extended = Knowledge(**PARTS).extend(LABELS, BANK)

    # evidence: (1 - 0.5) * 2 + (0 - 0.25) * 1 and (0.8 - 0.5) * 2 + (1 - 0.25) * 1
    evidence = np.array([0.75, 1.35])
    # similarities to the bank: 1, 0, -1 and 0, 1, 0; those of the evidence: 0.5, -0.5, 0 times it
    words_spread = np.array([np.std([1, 0, -1]), np.std([0, 1, 0])])
    evidence_spread = evidence * np.std([0.5, -0.5, 0])
    for row in range(2):
        expected = np.array(
            [*(0.5 * LABELS[row] / words_spread[row]), evidence[row] / evidence_spread[row], 0]
        )
        expected /= np.linalg.norm(expected)
        np.testing.assert_allclose(extended[row], expected, atol=1e-5)
    assert extended.dtype == np.float32


def test_evidence_that_no_video_shows_is_finite() -> None:
    bank = np.zeros((2, 4), np.float32)
    extended = Knowledge(**PARTS).extend(LABELS, bank)
    np.testing.assert_allclose(np.linalg.norm(extended, axis=1), 1.0, atol=1e-5)


def test_no_labels_are_extended_to_none() -> None:
    assert Knowledge(**PARTS).extend(np.empty((0, 2), np.float32), BANK).shape == (0, 4)


def test_the_digest_depends_on_every_part() -> None:
    changes: list[tuple[str, Any]] = [
        ("phrases", PHRASES[::-1]),
        ("starts", np.array([0, 1, 3])),
        ("projection", PARTS["projection"] * 2),
        ("typical", PARTS["typical"] * 2),
        ("direct_share", 0.75),
    ]
    digests = {Knowledge(**(PARTS | {name: value})).digest for name, value in changes}
    assert len(digests | {Knowledge(**PARTS).digest}) == 6


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("starts", np.array([0, 2]), r"starts must be \(3,\)"),
        ("starts", np.array([0, 2, 4]), "from 0 to 3 phrases, not from 0 to 4"),
        ("starts", np.array([1, 2, 3]), "not from 1 to 3"),
        ("starts", np.array([0, 3, 3]), "every class must have a phrase"),
        ("typical", np.zeros(3, np.float32), r"typical \(2,\)"),
        ("direct_share", float("nan"), "direct_share must be finite"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    name: str, value: npt.NDArray[np.float32] | float, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Knowledge(**(PARTS | {name: value}))
