"""A run that starts from a checkpoint records its weights, its commands and its unseen classes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoint import read_config
from model.training.lineage import commands_of, first_run, steps_of
from model.training.resources import TrainingResources
from model.training.run import RunRequest, run
from model.training.shipping.validation_choices import INTERPOLATIONS
from tests.support.training_tree import DIM, tiny_config, write_pictures
from tests.support.word_vectors import WordVectors


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The checkpoint of a run that started from another run's checkpoint, and all log lines."""
    folder = tmp_path_factory.mktemp("chain")
    manifest = write_pictures(folder / "pictures")
    split = folder / "split.toml"
    split.write_text('overlap = "keep"\nvalidation = ["red wall", "green wall", "blue wall"]\n')
    torch.set_num_threads(1)
    lines: list[str] = []
    first = tiny_config(steps=2, held_out=str(split))
    second: dict[str, Any] = {"steps": 3, "interpolated": True}
    directory = None
    for name, changes in (("first", {}), ("second", second)):
        init = str(directory) if directory else "scratch"
        config = replace(first, init=init, **changes)
        request = RunRequest(config, (manifest,), folder / name, ("kinolex", "train", name))
        resources = TrainingResources(workers=0, log=lines.append)
        directory = run(request, resources, text=WordVectors(DIM))
    assert directory is not None
    return directory, lines


def test_the_card_names_all_commands_and_the_first_weights(
    chain: tuple[Path, list[str]],
) -> None:
    directory, _ = chain
    provenance = read_config(directory).provenance

    assert commands_of(provenance) == ("kinolex train first", "kinolex train second")
    assert steps_of(provenance) == (2, 3)
    assert "figures" in provenance
    assert "figures" not in provenance["before"]
    card = (directory / "README.md").read_text()
    assert "    kinolex train first\n    kinolex train second\n" in card
    assert "2 + 3 steps" in card
    assert "random at\nthe start" in card


def test_every_interpolation_is_tried_on_the_validation_classes(
    chain: tuple[Path, list[str]],
) -> None:
    _, lines = chain
    tried = [line.split()[1] for line in lines if line.startswith("interpolation ")]
    assert tried == [str(share) for share in INTERPOLATIONS]


def test_the_chain_of_runs_ends_at_another_split() -> None:
    before = {"run": {"init": "imagenet", "held_out": "one.toml"}}
    same = {"run": {"init": "runs/one", "held_out": "one.toml"}, "before": before}
    other = {"run": {"init": "runs/one", "held_out": "two.toml"}, "before": before}

    assert first_run(same)["init"] == "imagenet"
    assert first_run(other)["init"] == "runs/one"
    assert first_run({}) == {}
