"""Labels and templates become prompts, and prompts become prototype vectors."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from model.text.labels import Label
from model.text.prompts import prompts_of, prototype_vectors
from model.text.text_encoder import normalise


def test_a_names_prompts_include_templates_prompts_and_description() -> None:
    label = Label(
        " juggling  balls",
        prompts=("three balls in the air",),
        aliases=("{0.__class__}",),
        description="a circus act",
    )
    assert prompts_of(label, ("{}", "a video of {}.")) == [
        [
            "juggling balls",
            "a video of juggling balls.",
            "three balls in the air",
            " juggling  balls: a circus act",
        ],
        ["{0.__class__}", "a video of {0.__class__}."],
    ]


class Corners:
    """Maps texts to given unit vectors in the plane."""

    dim = 2
    model_hash = "corners"
    vectors: ClassVar = {
        "east": (1.0, 0.0),
        "north": (0.0, 1.0),
        "west": (-1.0, 0.0),
        "up": (0.6, 0.8),
    }

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([self.vectors[text] for text in texts], np.float32)


@pytest.mark.parametrize(
    ("groups", "mean", "expected"),
    [
        ([["east"]], (0, 0), [(1, 0)]),
        ([["east", "north"]], (0, 0), [(0.5**0.5, 0.5**0.5)]),
        # (0.6, 0.8) - (0.6, 0) = (0, 0.8)
        ([["up"]], (0.6, 0), [(0, 1)]),
        # averaged and scaled to (0.7071, 0.7071), then less (0.7071, 0)
        ([["east", "north"]], (0.5**0.5, 0), [(0, 1)]),
        # one weight per text, groups of different sizes beside each other
        ([["east", "east", "north"], ["west"]], (0, 0), [(2 / 5**0.5, 1 / 5**0.5), (-1, 0)]),
        # opposite texts, and a text that is the mean itself: no direction
        ([["east", "west"], ["north"]], (0, 1), [(0, -1), (0, 0)]),
    ],
)
def test_prototype_vectors_are_centred_means(
    groups: list[list[str]], mean: tuple[float, float], expected: list[tuple[float, float]]
) -> None:
    found = prototype_vectors(groups, Corners(), np.array(mean, np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_no_prompts_give_no_vectors() -> None:
    assert prototype_vectors([], Corners(), np.zeros(2, np.float32)).shape == (0, 2)


def test_normalise_keeps_zero_rows() -> None:
    rows = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(normalise(rows), [[0.6, 0.8], [0.0, 0.0]])
