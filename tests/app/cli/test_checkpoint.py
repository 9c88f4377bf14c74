"""`kinolex checkpoint`: converted models load as checkpoints; an error is one line."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import Result

from model import load_checkpoint
from model.checkpoint import DEFAULT_CHECKPOINT
from model.encoder.networks import EncoderConfig, build_network
from tests.app.cli.command_line import kinolex
from tests.support.clips import write_clip
from tests.support.tiny_towers import save_tiny, tiny_siglip
from tests.support.training_tree import write_pictures


def run(*arguments: object) -> Result:
    return kinolex("checkpoint", *arguments)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tiny_siglip(), tmp_path_factory.mktemp("models") / "tiny-siglip")


def test_show_describes_an_imported_model(source: Path, tmp_path: Path) -> None:
    made = run(
        *("import", source, "--out", tmp_path / "out", "--frames", 4),
        *("--template", "{}", "--template", "a video of {}"),
    )
    assert made.exit_code == 0, made.output
    assert "KINOLEX_CHECKPOINT=" in made.stdout

    tagger = load_checkpoint(tmp_path / "out")
    assert tagger.sampling.frames_per_clip == 4
    assert tagger.templates == ("{}", "a video of {}")
    assert tagger.calibration.config.fitted_on.startswith("the default checkpoint's")
    assert len(tagger.calibration.reference) > 1000

    shown = run("show", tmp_path / "out").stdout
    for part in (
        "tiny-siglip",
        "vision_tower of siglip",
        "1 x 4 frames",
        "./text",
        "without a video",
    ):
        assert part in shown
    assert "kinolex checkpoint import tiny-siglip --frames 4" in shown
    assert str(tmp_path) not in (tmp_path / "out" / "README.md").read_text()


def test_a_bank_calibrates_the_scores(source: Path, tmp_path: Path) -> None:
    manifest = write_pictures(tmp_path / "pictures")
    made = run("import", source, "--out", tmp_path / "out", "--bank", manifest)
    assert made.exit_code == 0, made.output
    assert "embedding 16 samples" in made.stderr

    calibration = load_checkpoint(tmp_path / "out").calibration
    assert calibration.bank.shape == (16, 24)
    assert calibration.config.unknown_limit < 1.0
    card = (tmp_path / "out" / "README.md").read_text()
    assert "16 samples of pictures/manifest.csv" in card
    assert "no data stand behind" not in card
    assert "16 clips" in run("show", tmp_path / "out").stdout


def test_unlabelled_videos_calibrate_the_scores(source: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for number in range(16):
        colours = [["red", "green", "blue", "yellow"][number % 4]] * (1 + number // 4)
        write_clip(tmp_path / "clips" / f"{number}.mp4", seconds_colours=colours)
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"nothing")
    made = run("import", source, "--out", tmp_path / "out", "--videos", tmp_path / "clips")
    assert made.exit_code == 0, made.output
    assert "left out broken.mp4" in made.stderr

    calibration = load_checkpoint(tmp_path / "out").calibration
    assert calibration.bank.shape == (16, 24)
    assert "16 unlabelled videos" in calibration.config.fitted_on
    assert "16 unlabelled videos of clips/" in (tmp_path / "out" / "README.md").read_text()
    assert "--videos clips" in run("show", tmp_path / "out").stdout


def test_few_unlabelled_videos_are_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips" / "one.mp4", seconds_colours=["red"])
    failed = run("import", source, "--out", tmp_path / "out", "--videos", tmp_path / "clips")
    assert failed.exit_code == 2
    assert "at least 16" in failed.stderr


def test_an_official_checkpoint_is_converted(tmp_path: Path) -> None:
    network = build_network(EncoderConfig("r2plus1d_18", 2, 0.0))
    parts = ("stem", "layer1", "layer2", "layer3", "layer4")
    state = {f"module.regressor.{k}": v for k, v in network.head.linear.state_dict().items()}
    for number, part in enumerate(parts):
        layers = network.backbone.get_submodule(part).state_dict()
        state |= {f"module.model.{number}.{name}": value for name, value in layers.items()}
    options = argparse.Namespace(network="r2plus1d_18")
    torch.save(
        {"state_dict": state, "opt": options, "accuracy": np.float64(1.5)},
        tmp_path / "checkpoint.pth.tar",
    )
    (tmp_path / "words.txt").write_text("horse 1 2\n")

    made = run(
        *("convert", tmp_path / "checkpoint.pth.tar", "--text-model", tmp_path / "words.txt"),
        *("--out", tmp_path / "k664", "--clips", 3),
    )
    assert made.exit_code == 0, made.output
    shown = run("show", tmp_path / "k664").stdout
    for part in ("k664", "r2plus1d_18", "3 x 16 frames, consecutive", "cut to 112 px"):
        assert part in shown
    card = (tmp_path / "k664" / "README.md").read_text()
    assert "reports an accuracy of 1.5 %" in card
    assert "in 3 of the paper's 25 clips" in card


def test_the_default_checkpoint_can_be_shown() -> None:
    shown = run("show", DEFAULT_CHECKPOINT)
    assert shown.exit_code == 0
    assert "efficientnet_lite2" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("import", "./nowhere", "--out", "out"), "./nowhere is not a directory"),
        (("import", "SOURCE", "--out", "SOURCE"), "is the model itself"),
        (("import", "SOURCE", "--out", "out", "--template", "video"), "each must contain one {}"),
        (
            ("convert", "FILE", "--text-model", "x.txt", "--out", "out"),
            "not a checkpoint of the off",
        ),
        (("show", "./nowhere"), "./nowhere is not a directory"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.pth.tar").write_bytes(b"nothing")
    paths = {"SOURCE": source, "FILE": tmp_path / "file.pth.tar"}
    failed = run(*(paths.get(argument, argument) for argument in arguments))
    assert failed.exit_code == 2
    assert message in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert failed.stdout == ""
