"""Labels that training saw are handicapped as far as it helps unseen ones, and no further."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint import load_checkpoint, read_config
from model.text.labels import Label
from model.training.data.manifest import Sample, read_manifest
from model.training.measure.fairness import SHARES, Question, choose_share, fairness_suites
from model.training.run import run
from model.training.words.texts import HeldOut
from tests.support.training_tree import DIM, tiny_config, write_pictures
from tests.support.word_vectors import WordVectors


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def drowning() -> tuple[Question, np.ndarray]:
    """Two trained labels whose clips are very near, two unseen ones that are drawn to them."""
    rng = np.random.default_rng(0)
    labels = np.eye(8)[:4]
    near, far = (unit(rng.standard_normal((count, 8))) for count in (20, 200))
    trained = unit(np.repeat(labels[:2], 10, axis=0) + 0.05 * near)
    unseen = np.repeat(0.5 * labels[2:] + 0.6 * labels[:2], 10, axis=0)
    question = Question(
        unit(np.concatenate([trained, unit(unseen + 0.05 * near)])),
        np.repeat(np.arange(4), 10),
        labels.astype(np.float32),
        np.array([True, True, False, False]),
    )
    return question, unit(np.concatenate([trained[::3], far]))


def test_the_share_is_the_one_that_serves_seen_and_unseen_best():
    question, bank = drowning()
    lines: list[str] = []
    share = choose_share([question], bank, lines.append)
    means = [float(re.search(r"and unseen ([\d.]+) %", line)[1]) for line in lines]
    assert share > 0
    assert means[SHARES.index(share)] == max(means) > means[0] + 20


def without_handicap() -> Question:
    """One unseen label beside a trained one, each with clips of its own alone."""
    return Question(
        np.eye(8, dtype=np.float32)[[4, 5]],
        np.array([0, 1]),
        np.eye(8, dtype=np.float32)[[4, 5]],
        np.array([True, False]),
    )


def test_a_question_counts_as_often_as_it_has_unseen_labels():
    question, bank = drowning()
    lines: dict[str, list[str]] = {name: [] for name in ("both", "first", "second")}
    choose_share([question, without_handicap()], bank, lines["both"].append)
    choose_share([question], bank, lines["first"].append)
    choose_share([without_handicap()], bank, lines["second"].append)
    both, first, second = (
        float(re.search(r"and unseen ([\d.]+) %", rows[0])[1]) for rows in lines.values()
    )
    assert first != second
    assert both == pytest.approx((2 * first + second) / 3, abs=0.1)


def test_without_a_question_no_label_is_handicapped():
    assert choose_share([], np.empty((0, 8), np.float32)) == 0.0


def test_validation_classes_are_asked_beside_trained_ones_and_never_test_classes():
    def sample(label: str) -> Sample:
        return Sample(Path(f"{label}.png"), "", label, (), "colours", "")

    names = ("red", "green", "blue", "yellow", "white", "black")
    every = [sample(name) for name in names]
    held_out = HeldOut(test=("blue",), validation=("yellow", "white"))
    trained = [sample("red"), sample("green")]  # black overlaps with a held-out class

    (suite,) = fairness_suites(trained, held_out, every)

    assert suite.labels == ("green", "red", "white", "yellow")
    assert {s.label for s in suite.test} == {"white", "yellow"}
    assert {s.label for s in suite.known} == suite.seen == {"red", "green"}


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shipped")
    manifest = write_pictures(folder / "pictures")
    split = folder / "split.toml"
    split.write_text('overlap = "keep"\nvalidation = ["red wall", "green wall", "blue wall"]\n')
    torch.set_num_threads(1)
    config = tiny_config(steps=2, held_out=str(split))
    out = run(
        config, [manifest], folder / "out", command=["kinolex"], text=WordVectors(DIM), workers=0,
        say=lambda _: None,
    )  # fmt: skip
    assert out is not None
    return out


def test_a_run_ships_its_share_with_a_bank_that_serves(shipped: Path):
    document = json.loads((shipped / "config.json").read_text())
    share = document["calibration"]["nearest_share"]
    assert share == read_config(shipped).calibration.nearest_share
    tagger = load_checkpoint(shipped, text=WordVectors(DIM))
    assert len(tagger.calibration.bank) == len(
        [s for s in read_manifest(shipped.parents[1] / "pictures" / "manifest.csv")
         if s.label == "yellow wall"]
    )  # fmt: skip
    (found,) = tagger.prototypes([Label("yellow wall")])
    assert np.isfinite(found.background).all()
    assert set(document["provenance"]["figures"]) == {"validation"}
