"""What the benchmark of int8 decides, from which clips, without NNCF."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.eight_bits import MARGIN, least_milliseconds, paired, spread_over_labels
from model.training.data.manifest import Sample


def _hits(clips: int, right: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.arange(clips) < right


def test_clips_of_which_none_changed_do_not_show_that_none_would() -> None:
    few = paired(_hits(330, 120), _hits(330, 120))
    assert few.changed == 0
    assert few.interval.value == 0.0
    assert few.interval.high == pytest.approx(0.0111, abs=1e-4)
    assert not few.is_within
    assert paired(_hits(1000, 400), _hits(1000, 400)).is_within


def test_a_loss_is_negative_and_outside_the_margin() -> None:
    found = paired(_hits(330, 110), _hits(330, 120))
    assert found.changed == 10
    assert found.interval.value == pytest.approx(-10 / 330)
    assert found.interval.high < -MARGIN
    assert not found.is_within


def test_a_difference_of_none_is_within_only_with_enough_clips() -> None:
    right, other = np.ones(330, np.bool_), np.ones(330, np.bool_)
    right[:5] = other[5:10] = False
    found = paired(right, other)
    assert found.interval.value == 0.0
    assert found.changed == 10
    assert not found.is_within
    # as many changes of every clip, among as many clips as are needed
    copies = 1 + found.needed // 330
    assert paired(np.tile(right, copies), np.tile(other, copies)).is_within


def test_every_label_is_drawn_before_one_is_drawn_again() -> None:
    samples = [
        Sample(Path(f"{label}{number}.mp4"), "", label, (), "everyday", "train")
        for label, count in (("fighting", 50), ("yoga", 2), ("signing", 1))
        for number in range(count)
    ]
    assert Counter(s.label for s in spread_over_labels(samples, 3)).total() == 3
    assert {s.label for s in spread_over_labels(samples, 3)} == {"fighting", "yoga", "signing"}
    assert Counter(s.label for s in spread_over_labels(samples, 5)) == {
        "fighting": 2,
        "yoga": 2,
        "signing": 1,
    }
    assert spread_over_labels(samples, 5) == spread_over_labels(samples, 5)
    assert len(spread_over_labels(samples, 100)) == 53


def test_functions_take_turns() -> None:
    turns: list[str] = []
    work = {"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}
    found = least_milliseconds(work, rounds=2)
    assert turns == ["a", "b", "a", "b"]
    assert set(found) == {"a", "b"}
    assert all(spent >= 0 for spent in found.values())
