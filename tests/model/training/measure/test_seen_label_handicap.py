"""The handicap of seen labels is the one that helps unseen labels most at no cost."""

import json
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from model.checkpoint import load_checkpoint, read_config
from model.text.labels import Label
from model.training.data.manifest import Sample, read_manifest
from model.training.measure.seen_label_handicap import (
    SHARES,
    HandicapTrial,
    choose_share,
    handicap_suites,
)
from model.training.resources import TrainingResources
from model.training.run import RunRequest, run
from model.training.words.held_out import HeldOut, SplitSamples
from tests.support.training_tree import DIM, tiny_config, write_pictures
from tests.support.word_vectors import WordVectors


def unit(rows: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    vectors: npt.NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def unseen_clips_near_seen_labels() -> tuple[HandicapTrial, npt.NDArray[np.float32]]:
    """Two trained labels with near clips, two unseen ones with clips near the trained labels.

    Returns the trial and a background bank.
    """
    rng = np.random.default_rng(0)
    labels = np.eye(8)[:4]
    near, far = (unit(rng.standard_normal((count, 8))) for count in (20, 200))
    trained = unit(np.repeat(labels[:2], 10, axis=0) + 0.05 * near)
    unseen = np.repeat(0.5 * labels[2:] + 0.6 * labels[:2], 10, axis=0)
    trial = HandicapTrial(
        unit(np.concatenate([trained, unit(unseen + 0.05 * near)])),
        np.repeat(np.arange(4), 10),
        labels.astype(np.float32),
        np.array([True, True, False, False]),
    )
    return trial, unit(np.concatenate([trained[::3], far]))


def logged_mean(line: str) -> float:
    """The harmonic mean in a log line, in per cent."""
    found = re.search(r"and unseen ([\d.]+) %", line)
    assert found is not None
    return float(found[1])


def test_the_share_with_the_best_harmonic_mean_is_chosen() -> None:
    trial, bank = unseen_clips_near_seen_labels()
    lines: list[str] = []
    share = choose_share([trial], bank, lines.append)
    means = [logged_mean(line) for line in lines]
    assert share > 0
    assert means[SHARES.index(share)] == max(means) > means[0] + 20


def without_handicap() -> HandicapTrial:
    """One unseen label beside a trained one, each with clips of its own alone."""
    return HandicapTrial(
        np.eye(8, dtype=np.float32)[[4, 5]],
        np.array([0, 1]),
        np.eye(8, dtype=np.float32)[[4, 5]],
        np.array([True, False]),
    )


def test_a_trial_is_weighted_by_its_number_of_unseen_labels() -> None:
    trial, bank = unseen_clips_near_seen_labels()
    lines: dict[str, list[str]] = {name: [] for name in ("both", "first", "second")}
    choose_share([trial, without_handicap()], bank, lines["both"].append)
    choose_share([trial], bank, lines["first"].append)
    choose_share([without_handicap()], bank, lines["second"].append)
    both, first, second = (logged_mean(rows[0]) for rows in lines.values())
    assert first != second
    assert both == pytest.approx((2 * first + second) / 3, abs=0.1)


def test_without_a_trial_no_label_is_handicapped() -> None:
    assert choose_share([], np.empty((0, 8), np.float32)) == 0.0


def test_suites_hold_validation_and_trained_classes_but_no_test_classes() -> None:
    def sample(label: str) -> Sample:
        return Sample(Path(f"{label}.png"), "", label, (), "colours", "")

    names = ("red", "green", "blue", "yellow", "white", "black")
    every = [sample(name) for name in names]
    held_out = HeldOut(test=("blue",), validation=("yellow", "white"))
    trained = [sample("red"), sample("green")]  # black overlaps with a held-out class

    (suite,) = handicap_suites(SplitSamples(tuple(trained), tuple(every), held_out))

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
    request = RunRequest(config, (manifest,), folder / "out", ("kinolex",))
    resources = TrainingResources(workers=0, log=lambda _: None)
    out = run(request, resources, text=WordVectors(DIM))
    assert out is not None
    return out


def test_a_run_ships_its_share_with_a_bank_that_serves(shipped: Path) -> None:
    document = json.loads((shipped / "config.json").read_text())
    share = document["calibration"]["nearest_share"]
    assert share == read_config(shipped).calibration.nearest_share
    tagger = load_checkpoint(shipped, text=WordVectors(DIM))
    manifest = read_manifest(shipped.parents[1] / "pictures" / "manifest.csv")
    trained = [sample for sample in manifest if sample.label == "yellow wall"]
    assert len(tagger.calibration.bank) == len(trained)
    (found,) = tagger.prototypes([Label("yellow wall")])
    assert np.isfinite(found.background).all()
    assert set(document["provenance"]["figures"]) == {"validation"}
