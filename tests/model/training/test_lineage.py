"""A run that goes on with a checkpoint says so: whose weights, which commands, what was unseen."""

from pathlib import Path

import pytest
import torch

from model.checkpoint import read_config
from model.training.lineage import commands_of, first_run, steps_of
from model.training.run import run
from model.training.ship import WAYS
from tests.support.training_tree import DIM, tiny_config, write_pictures
from tests.support.word_vectors import WordVectors


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The checkpoint of a run that went on with another one's, and what it said."""
    folder = tmp_path_factory.mktemp("chain")
    manifest = write_pictures(folder / "pictures")
    split = folder / "split.toml"
    split.write_text('overlap = "keep"\nvalidation = ["red wall", "green wall", "blue wall"]\n')
    torch.set_num_threads(1)
    said: list[str] = []
    first, second = tiny_config(steps=2, held_out=str(split)), {"steps": 3, "interpolated": True}
    directory = None
    for name, changes in (("first", {}), ("second", second)):
        init = str(directory) if directory else "scratch"
        directory = run(
            tiny_config(**{"steps": first.steps, "held_out": first.held_out, **changes}, init=init),
            [manifest], folder / name, command=["kinolex", "train", name],
            text=WordVectors(DIM), workers=0, say=said.append,
        )  # fmt: skip
    assert directory is not None
    return directory, said


def test_the_card_names_all_commands_and_the_first_weights(chain):
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


def test_how_far_the_weights_go_is_asked_of_the_validation_classes(chain):
    _, said = chain
    asked = [line for line in said if line.startswith("weights ")]
    assert [line.split()[1] for line in asked] == [str(way) for way in WAYS]


def test_a_run_that_saw_other_classes_is_not_looked_through():
    before = {"run": {"init": "imagenet", "held_out": "one.toml"}}
    same = {"run": {"init": "runs/one", "held_out": "one.toml"}, "before": before}
    other = {"run": {"init": "runs/one", "held_out": "two.toml"}, "before": before}

    assert first_run(same)["init"] == "imagenet"
    assert first_run(other)["init"] == "runs/one"
    assert first_run({}) == {}
