"""`kinolex train` and `train compare`, and the commands that docs/training.md shows."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from model.training.data.manifest import write_manifest
from tests.app.cli.command_line import command_tree, kinolex
from tests.support.colour_world import colour_samples
from tests.support.paths import ROOT

PRESET = """
model_id = "tiny"
network = "efficientnet_lite0"
steps = 1

[sampling]
clips = 1
frames_per_clip = 2

[training_sampling]
clips = 1
frames_per_clip = 2

[preprocess]
short_side = 32
crop_side = 32
max_aspect_ratio = 1.0
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]

[objective]
cross_entropy = 1.0
candidates = 4

[optimiser]
head_rate = 1e-3

[batch]
short_side = 32
side = 32
pictures = 4
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with a manifest, a preset, and a split without overlaps."""
    write_manifest(tmp_path / "manifest.csv", colour_samples(tmp_path, each=2))
    (tmp_path / "tiny.toml").write_text(PRESET)
    (tmp_path / "split.toml").write_text(
        'test = ["gold", "teal"]\nvalidation = ["plum", "snow"]\noverlap = "drop"\n'
    )
    return tmp_path


def train(world: Path, *options: str) -> Result:
    return kinolex("train", *inputs(world), *options)


def compare(world: Path, *options: str) -> Result:
    return kinolex("train", "compare", *inputs(world), *options)


def inputs(world: Path) -> list[str]:
    data = ["--data", str(world / "manifest.csv"), "--out", str(world / "out")]
    return [*data, "--preset", str(world / "tiny.toml")]


def test_compare_writes_its_report(world: Path) -> None:
    outcome = compare(world, "--split", str(world / "split.toml"), "--arms", "F1")

    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout.splitlines()[-1] == str(world / "out" / "comparison.html")
    assert "fold 0 seed 0 F1: validation" in outcome.stdout
    assert (world / "out" / "comparison.json").is_file()


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        (compare, ("--folds", "2", "--arms", "F9"), "no arm F9; there are F0, F1"),
        (compare, (), "no class is unseen. Give --split or --folds"),
        (compare, ("--split", "nowhere.toml"), "nowhere.toml is not a split"),
        (train, ("--held-out", "nowhere.toml"), "nowhere.toml is not a split"),
        (train, ("--preset", "huge"), "no preset 'huge'; there are"),
        (train, ("--init", "nowhere"), "nowhere is not a directory"),
        (train, ("--text-model", "/nowhere/model"), "/nowhere/model"),
    ],
)
def test_an_error_is_one_line_without_a_traceback(
    world: Path, command: Callable[..., Result], options: tuple[str, ...], message: str
) -> None:
    outcome = command(world, *options)

    assert outcome.exit_code == 2
    assert message in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert not (world / "out" / "checkpoint").exists()


def test_training_does_not_start_with_an_undecided_overlap(world: Path) -> None:
    (world / "split.toml").write_text('test = ["dark ruby"]\n')
    split = ("--held-out", str(world / "split.toml"))

    outcome = train(world, *split)

    assert outcome.exit_code == 2
    assert "'ruby' and 'dark ruby': inside the class" in outcome.stderr
    assert "--overlap drop" in outcome.stderr
    assert not (world / "out").exists()
    told = train(world, *split, "--overlap", "drop", "--workers", "0")
    assert told.exit_code == 0, told.output
    assert "texts that overlap" in told.stdout
    card = (world / "out" / "checkpoint" / "README.md").read_text()
    assert re.search(r"--overlap\s+drop", card)


@pytest.mark.parametrize("option", ["--data", "--out"])
def test_training_requires_data_and_an_output_directory(world: Path, option: str) -> None:
    given = inputs(world)
    position = given.index(option)

    outcome = kinolex("train", *given[:position], *given[position + 2 :])

    assert outcome.exit_code == 2
    assert f"Missing option '{option}'" in outcome.stderr


def test_options_of_training_are_not_ignored_before_compare(world: Path) -> None:
    outcome = kinolex("train", "--device", "cuda", "compare", *inputs(world))

    assert outcome.exit_code == 2
    assert "Options must come after 'compare'" in outcome.stderr


def documented_commands() -> list[str]:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = [re.search(r"(?:^kinolex|-m app) (.*)", line) for line in lines]
    return [match[1] for match in found if match]


@pytest.mark.parametrize("line", documented_commands())
def test_documented_commands_have_options_that_exist(line: str) -> None:
    commands = command_tree()
    arguments = shlex.split(line, comments=True)
    words: tuple[str, ...] = ()
    while arguments and (*words, arguments[0]) in commands:
        words = (*words, arguments.pop(0))

    known = {name for parameter in commands[words].params for name in parameter.opts}

    used = {argument for argument in arguments if argument.startswith("--")}
    assert words
    assert used <= known, f"there is no {used - known}"


def test_the_page_shows_every_training_command() -> None:
    shown = {" ".join(command.split()[:2]) for command in documented_commands()}

    assert {"data manifest", "data validate", "data shard", "data overlap"} <= shown
    assert {"train --preset", "train compare", "evaluate runs/k700/checkpoint"} <= shown
