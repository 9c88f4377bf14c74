"""`kinolex train`, `train compare` and `data`, from the words that are typed."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from app.cli.data import cli as data_cli
from app.cli.train import cli
from model.training.data.manifest import write_manifest
from tests.app.cli.test_classify import ROOT, words
from tests.support.colour_world import colour_samples

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
    """A folder with a manifest, a preset and a split in which nothing overlaps."""
    write_manifest(tmp_path / "manifest.csv", colour_samples(tmp_path, each=2))
    (tmp_path / "tiny.toml").write_text(PRESET)
    (tmp_path / "split.toml").write_text(
        'test = ["gold", "teal"]\nvalidation = ["plum", "snow"]\noverlap = "drop"\n'
    )
    return tmp_path


def kinolex(world: Path, *arguments: str) -> Result:
    common = ["--data", str(world / "manifest.csv"), "--out", str(world / "out")]
    common += ["--preset", str(world / "tiny.toml")]
    return CliRunner().invoke(cli, [arguments[0], *common, *arguments[1:]])


def test_compare_writes_its_page(world: Path) -> None:
    outcome = kinolex(world, "compare", "--split", str(world / "split.toml"), "--arms", "F1")

    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout.splitlines()[-1] == str(world / "out" / "comparison.html")
    assert "fold 0 seed 0 F1: validation" in outcome.stdout
    assert (world / "out" / "comparison.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compare", "--folds", "2", "--arms", "F9"), "no arm F9; there are F0, F1"),
        (("compare",), "which classes are unseen? Give --split or --folds"),
        (("compare", "--split", "nowhere.toml"), "nowhere.toml is no split"),
        (("train", "--held-out", "nowhere.toml"), "nowhere.toml is no split"),
        (("train", "--preset", "huge"), "no preset 'huge'; there are"),
        (("train", "--init", "nowhere"), "nowhere is not a directory"),
        (("train", "--text-model", "/nowhere/model"), "/nowhere/model"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_without_a_traceback(
    world: Path, arguments: tuple[str, ...], said: str
) -> None:
    outcome = kinolex(world, *arguments)

    assert outcome.exit_code == 2
    assert said in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert not (world / "out" / "checkpoint").exists()


def test_training_does_not_start_with_an_overlap_that_nobody_decided(world: Path) -> None:
    (world / "split.toml").write_text('test = ["dark ruby"]\n')
    split = ("--held-out", str(world / "split.toml"))

    outcome = kinolex(world, "train", *split)

    assert outcome.exit_code == 2
    assert "'ruby' and 'dark ruby': inside the class" in outcome.stderr
    assert "--overlap drop" in outcome.stderr
    assert not (world / "out").exists()
    told = kinolex(world, "train", *split, "--overlap", "drop", "--workers", "0")
    assert told.exit_code == 0, told.output
    assert "texts that overlap" in told.stdout
    card = (world / "out" / "checkpoint" / "README.md").read_text()
    assert re.search(r"--overlap\s+drop", card)


def test_every_command_has_help() -> None:
    for command in ("train", "compare", "evaluate"):
        outcome = CliRunner().invoke(cli, [command, "--help"])
        assert outcome.exit_code == 0
        assert "--data" in words(outcome.stdout)


def documented_commands() -> list[str]:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    found = [re.search(r"(?:^kinolex|-m app) (.*)", line) for line in lines]
    return [match[1] for match in found if match]


@pytest.mark.parametrize("command", documented_commands())
def test_the_pages_commands_have_options_that_exist(command: str) -> None:
    names, arguments = [], shlex.split(command, comments=True)
    while arguments[0].isidentifier() and len(names) < 2:
        names.append(arguments.pop(0))
        if names[0] in ("train", "evaluate") and arguments[0] != "compare":
            break
    program = data_cli if names[0] == "data" else cli
    group = typer.main.get_command(program)
    assert isinstance(group, typer.core.TyperGroup)
    known = {name for parameter in group.commands[names[-1]].params for name in parameter.opts}

    used = {argument for argument in arguments if argument.startswith("--")}
    assert used <= known, f"there is no {used - known}"


def test_the_page_shows_every_kind_of_command() -> None:
    shown = {" ".join(command.split()[:2]) for command in documented_commands()}

    assert {"data manifest", "data validate", "data shard", "data overlap"} <= shown
    assert {"train --preset", "train compare", "evaluate runs/k700/checkpoint"} <= shown
