"""A comparison of arms on a data set of colours: standings, stored answers, reports."""

import json
import os
import re
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint import CheckpointConfig, TextConfig, save_checkpoint
from model.training.compare.compare_arms import ARMS, compare_arms
from model.training.compare.comparison import (
    ComparisonRequest,
    GrowthParts,
    UnseenClasses,
    run_comparison,
)
from model.training.compare.fold import Settings
from model.training.compare.growth import accuracy_beyond, distances_to_training, grow
from model.training.compare.problem import class_folds, pose_problem
from model.training.compare.standings import Answers, compare_answers
from model.training.compare.trained_networks import Stopped
from model.training.data.manifest import write_manifest
from model.training.words.held_out import HeldOut
from model.training.words.overlap_review import OverlapError
from tests.support.colour_world import (
    HELD_OUT,
    ColourNames,
    calibrated_network,
    colour_samples,
    tiny_config,
)


def answers(
    arm: str, first: Sequence[int], *, validation: float = 0.5, fold: int = 0, seed: int = 0
) -> Answers:
    """An arm that puts class `first[n]` first for sample n; the samples are of classes 0 0 1 1."""
    similarities = np.eye(2, dtype=np.float32)[list(first)]
    return Answers(
        arm=arm,
        fold=fold,
        seed=seed,
        settings="plain",
        validation=validation,
        labels=("gold", "teal"),
        targets=np.array([0, 0, 1, 1]),
        similarities={"raw": similarities, "served": similarities},
    )


def test_the_best_frozen_arm_is_chosen_on_validation_classes_not_on_test_classes() -> None:
    good_at_test = answers("F1", [0, 0, 1, 1], validation=0.3)
    good_at_validation = answers("F2", [0, 1, 1, 0], validation=0.6)

    compared = compare_answers([good_at_test, good_at_validation], ["F1", "F2"])

    assert compared.best_frozen == "F2"
    assert compared.standing("F2", "raw").minus_frozen is None
    difference = compared.standing("F1", "raw").minus_frozen
    assert difference is not None
    assert difference.interval.value == pytest.approx(0.5)
    assert difference.classes == 2


def test_seeds_are_averaged_and_folds_are_pooled() -> None:
    given = [
        answers("F1", [0, 0, 0, 0]),
        answers("F1", [0, 0, 0, 0], fold=1),
        answers("E", [0, 0, 1, 1]),
        answers("E", [0, 0, 0, 0], seed=1),
        answers("E", [0, 0, 1, 1], fold=1),
        answers("E", [0, 0, 1, 1], fold=1, seed=1),
    ]

    e = compare_answers(given, ["F1"]).standing("E", "served")

    assert e.top1.value == pytest.approx((0.75 + 1.0) / 2)
    assert e.by_fold_and_seed == ((1.0, 0.5), (1.0, 1.0))
    assert e.minus_frozen is not None
    # classes of the two folds are told apart: 0, 0.5, 0 and 1 better
    assert e.minus_frozen.interval.value == pytest.approx(1.5 / 4)
    assert e.minus_frozen.classes == 4


def test_answers_survive_writing_and_reading(tmp_path: Path) -> None:
    written = answers("E", [0, 1, 1, 1])
    written.write(tmp_path / "E.npz")

    back = Answers.read(tmp_path / "E.npz")

    assert (back.arm, back.labels, back.settings) == ("E", ("gold", "teal"), "plain")
    np.testing.assert_array_equal(back.similarities["raw"], written.similarities["raw"])
    np.testing.assert_array_equal(back.targets, written.targets)


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A checkpoint's weights to start from whose features tell colours apart."""
    plain = tiny_config()
    config = CheckpointConfig(
        model_id="start",
        encoder=plain.encoder,
        sampling=plain.sampling,
        preprocess=plain.preprocess,
        text=TextConfig("colours"),
    )
    save_checkpoint(
        tmp_path / "start",
        config,
        calibrated_network(),
        text_mean=torch.zeros(plain.dim),
        bank=torch.empty(0, plain.dim),
        card="",
    )
    return tmp_path / "start"


@pytest.mark.slow
def test_every_arm_answers_and_the_same_command_again_reads_what_is_there(
    tmp_path: Path, start: Path
) -> None:
    samples = colour_samples(tmp_path)
    config = tiny_config(init=str(start))
    lines: list[str] = []
    settings = Settings(tmp_path / "out", workers=0, log=lines.append, dtype=torch.float32)

    compared = compare_arms(config, samples, [HELD_OUT], ColourNames(), settings)

    assert [s.arm for s in compared.standings if s.kind == "raw"] == list(ARMS)
    assert compared.best_frozen in ("F0", "F1", "F2-linear", "F2", "F3")
    assert len([line for line in lines if line.startswith("fold 0")]) == len(ARMS)
    again: list[str] = []
    assert (
        compare_arms(
            config, samples, [HELD_OUT], ColourNames(), replace(settings, log=again.append)
        )
        == compared
    )
    assert not [line for line in again if "step" in line]


def test_another_comparison_needs_another_folder(tmp_path: Path, start: Path) -> None:
    samples = colour_samples(tmp_path)
    config = tiny_config(init=str(start))
    settings = Settings(tmp_path / "out", log=lambda _: None)
    compare_arms(config, samples, [HELD_OUT], ColourNames(), settings, arms=["F1"])

    other = replace(HELD_OUT, overlap="drop")
    with pytest.raises(ValueError, match="holds another comparison"):
        compare_arms(config, samples, [other], ColourNames(), settings, arms=["F1"])


@pytest.mark.parametrize(
    ("arms", "message"),
    [(["F9"], "no arm F9; there are F0"), (["F0"], "F0 needs a network that knows names")],
)
def test_an_impossible_arm_is_refused(tmp_path: Path, arms: list[str], message: str) -> None:
    config = tiny_config(word_head=False)
    settings = Settings(tmp_path / "out", log=lambda _: None)

    with pytest.raises(ValueError, match=message):
        compare_arms(config, [], [HELD_OUT], ColourNames(), settings, arms=arms)
    assert not (tmp_path / "out").exists()


def test_a_file_that_cannot_be_read_is_left_out_of_every_arm(tmp_path: Path, start: Path) -> None:
    samples = colour_samples(tmp_path)
    samples[0].path.write_bytes(b"no picture")
    lines: list[str] = []
    settings = Settings(tmp_path / "out", log=lines.append)

    compared = compare_arms(
        tiny_config(init=str(start)), samples, [HELD_OUT], ColourNames(), settings, arms=["F1"]
    )

    assert lines[0].startswith("1 files cannot be read and are left out, the first:")
    assert str(samples[0].path) in lines[0]
    assert compared.standing("F1", "raw").by_fold_and_seed


def test_a_split_that_leaves_an_overlap_open_is_refused(tmp_path: Path) -> None:
    undecided = HeldOut(test=("gold", "teal"), validation=("plum", "snow"), tau=0.5)

    with pytest.raises(OverlapError, match="training texts overlap"):
        pose_problem(tiny_config(), colour_samples(tmp_path), undecided, ColourNames(), tmp_path)


def test_rows_of_an_evaluation_split_are_tested_and_never_trained_on(tmp_path: Path) -> None:
    samples = colour_samples(tmp_path)
    samples = [replace(s, split="test") if s.label in ("gold", "ruby") else s for s in samples]

    problem = pose_problem(tiny_config(), samples, HELD_OUT, ColourNames(), tmp_path)

    assert {s.label for s in problem.training} == {"moss", "navy"}
    assert {s.label for s in problem.test} == {"gold", "teal"}


def test_folds_drop_what_overlaps(tmp_path: Path) -> None:
    assert {fold.overlap for fold in class_folds(["a", "b", "c", "d"], 2, seed=0)} == {"drop"}


def test_a_terminated_run_is_no_answer(tmp_path: Path) -> None:
    """A shorter run is no fair comparison: the same command must continue it."""

    def stop_after_the_first(line: str) -> None:
        if "step 10/" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    config = tiny_config(steps=14, word_head=False)
    settings = Settings(tmp_path / "out", workers=0, log=stop_after_the_first)
    samples = colour_samples(tmp_path)

    with pytest.raises(Stopped, match=r"has done 1[0-3] of 14 steps"):
        compare_arms(config, samples, [HELD_OUT], ColourNames(), settings, arms=["S"])
    assert not list((tmp_path / "out").glob("S*.npz"))
    compared = compare_arms(config, samples, [HELD_OUT], ColourNames(), settings, arms=["S"])
    assert compared.best_frozen == ""


def test_growth_trains_on_parts_and_the_whole_is_the_comparisons_own(
    tmp_path: Path, start: Path
) -> None:
    config = tiny_config(init=str(start))
    settings = Settings(tmp_path / "out", log=lambda _: None)
    problem = pose_problem(
        config, colour_samples(tmp_path), HELD_OUT, ColourNames(), tmp_path / "out"
    )

    points = grow(problem, ["F1"], settings, sample_shares=[0.5, 1.0], class_counts=[2], seed=0)

    assert [(p.grows, p.samples, p.classes) for p in points] == [
        ("samples", 6, 3),
        ("samples", 12, 3),
        ("classes", 8, 2),
    ]
    assert (tmp_path / "out" / "F1-fold0-seed0.npz").exists()
    assert (tmp_path / "out" / "growth" / "samples-6-seed0" / "F1-fold0-seed0.npz").exists()
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        grow(problem, ["F1"], settings, sample_shares=[0.0])


def test_distance_is_the_mean_to_the_nearest_training_labels(tmp_path: Path) -> None:
    config = replace(tiny_config(), templates=("{}",))
    problem = pose_problem(config, colour_samples(tmp_path), HELD_OUT, ColourNames(), tmp_path)

    distances = distances_to_training(problem)

    vectors = {name: ColourNames().encode([name])[0] for name in ("ruby", "moss", "navy", "gold")}
    mean = np.mean([vectors[name] for name in ("ruby", "moss", "navy")], axis=0)
    centred = {k: (v - mean) / np.linalg.norm(v - mean) for k, v in vectors.items()}
    expected = np.mean([1 - centred["gold"] @ centred[n] for n in ("ruby", "moss", "navy")])
    assert distances["gold"] == pytest.approx(expected, abs=1e-5)
    assert distances.keys() == {"gold", "teal"}


def test_accuracy_beyond_a_distance_counts_the_far_classes_only() -> None:
    thresholds, shares = accuracy_beyond(
        {"near": 1.0, "far": 0.5, "farthest": 0.0}, {"near": 0.1, "far": 0.2, "farthest": 0.3}
    )

    assert thresholds == [0.1, 0.2]
    assert shares == pytest.approx([0.5, 0.25])


@pytest.mark.slow
def test_the_whole_comparison_is_one_page_and_json(tmp_path: Path, start: Path) -> None:
    write_manifest(tmp_path / "manifest.csv", colour_samples(tmp_path))

    request = ComparisonRequest(
        tiny_config(init=str(start)),
        (tmp_path / "manifest.csv",),
        UnseenClasses(folds=3, classes_of=("colours",)),
        arms=("F0", "F1"),
        growth=GrowthParts(sample_shares=(0.5, 1.0)),
    )
    page = run_comparison(
        request, Settings(tmp_path / "out", log=lambda _: None), text=ColourNames()
    )

    html = page.read_text()
    assert page == tmp_path / "out" / "comparison.html"
    for heading in ("Ranked raw", "Ranked served", "Far from what was trained", "More samples"):
        assert f"<h2>{heading}</h2>" in html
    assert "(best frozen)" in html
    assert not re.search(r"(src|href)=\"(?!data:|#)", html)
    document = json.loads((page.parent / "comparison.json").read_text())
    # every class is tested once over the folds, and has its distance
    assert len(document["comparison"]["per_class"]["F1"]) == 7
    assert document["distances"].keys() == document["comparison"]["per_class"]["F1"].keys()
    assert {point["samples"] for point in document["growth"]} != set()


def test_a_comparison_needs_unseen_classes(tmp_path: Path) -> None:
    write_manifest(tmp_path / "manifest.csv", colour_samples(tmp_path))
    settings = Settings(tmp_path / "out", log=lambda _: None)

    def start(unseen: UnseenClasses) -> Path:
        request = ComparisonRequest(tiny_config(), (tmp_path / "manifest.csv",), unseen)
        return run_comparison(request, settings, text=ColourNames())

    with pytest.raises(ValueError, match="Give --split or --folds"):
        start(UnseenClasses())
    with pytest.raises(ValueError, match="no data set sports; there are colours"):
        start(UnseenClasses(folds=2, classes_of=("sports",)))
