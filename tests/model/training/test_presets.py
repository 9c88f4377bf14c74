"""The presets are what they are named after."""

import csv
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from model.checkpoint import read_config
from model.encoder.networks import build_network
from model.encoder.preprocess import PreprocessConfig
from model.training.config import PRESETS, read_preset
from model.training.data.batches import StepBatches
from model.training.data.layouts import import_layout
from model.training.data.step_plans import StepPlans
from model.training.objective import term_names
from model.training.schedule import rate_factor
from model.video.sampling import SamplingConfig
from tests.support.clips import write_clip
from tests.support.training_tree import NAMES


def test_the_paper_preset_is_the_papers_protocol() -> None:
    """Brattoli et al., CVPR 2020, sections 3 and 4; the official code where it says nothing."""
    paper = read_preset("paper")

    # f_v and f_s: R(2+1)D-18 without pretraining, one linear layer, nothing else
    assert (paper.network, paper.init, paper.word_head) == ("r2plus1d_18", "scratch", False)
    head = build_network(paper.encoder).head
    assert [name for name, _ in head.named_modules()] == ["", "linear"]
    # 16 consecutive frames at the video's own rate, 1 clip in training and 25 at test
    assert paper.training_sampling == SamplingConfig(1, 16, "consecutive")
    assert paper.sampling == SamplingConfig(25, 16, "consecutive")
    # short side 128, random crops of 112 in training, the middle at test
    assert (paper.batch.short_side, paper.batch.side, paper.batch.smallest_crop) == (128, 112, 0.0)
    assert paper.batch.brightness == 0.0
    assert paper.preprocess == PreprocessConfig(
        128, 112, 1.0, (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
    )
    # mean squared error, the vectors of the words as they are
    assert term_names(paper) == ["mse"]
    assert (paper.objective.mse, paper.templates, paper.centred) == (1.0, ("{}",), False)
    # Adam at 1e-3 in batches of 22 without any other device
    assert (paper.optimiser.name, paper.batch.videos, paper.batch.pictures) == ("adam", 22, 0)
    assert paper.optimiser.backbone_rate == paper.optimiser.head_rate == 1e-3
    assert paper.optimiser.warmup_steps == 0
    assert paper.optimiser.weight_decay == paper.optimiser.largest_gradient == 0.0
    assert paper.optimiser.ema_decay == paper.optimiser.frozen_blocks == 0
    assert paper.optimiser.head_steps == 0
    assert not paper.optimiser.freeze_statistics
    assert paper.precision == "fp32"
    # 150 epochs of 100,000 clips, each epoch shuffled anew
    assert paper.batch.epoch_samples == 100_000
    assert paper.steps == 150 * 100_000 // 22
    assert paper.steps * 22 == pytest.approx(15.0e6, rel=1e-5)


def test_the_papers_rate_falls_tenfold_after_40_and_80_percent() -> None:
    paper = read_preset("paper")

    def factor(share: float) -> float:
        return rate_factor(paper.optimiser, int(share * paper.steps), paper.steps)

    assert factor(0.0) == factor(0.399) == 1.0
    assert factor(0.401) == factor(0.799) == pytest.approx(0.1)
    assert factor(0.801) == factor(0.999) == pytest.approx(0.01)


def test_aurl_is_the_papers_data_with_another_objective_and_optimiser() -> None:
    paper, aurl = read_preset("paper"), read_preset("aurl")

    same = ("network", "init", "sampling", "training_sampling", "preprocess", "word_head")
    assert [name for name in same if getattr(paper, name) != getattr(aurl, name)] == []
    assert term_names(aurl) == ["cross_entropy"]
    assert (aurl.optimiser.name, aurl.batch.videos, aurl.steps) == ("sgd", 256, 58_500)
    assert aurl.optimiser.backbone_rate == pytest.approx(0.1 * 256 / 512)
    assert aurl.optimiser.weight_decay == 1e-4
    assert aurl.objective.scale == 10.0
    assert rate_factor(aurl.optimiser, 389, aurl.steps) == 1.0


@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.toml")))
def test_every_preset_is_read_and_fits_together(name: str) -> None:
    config = read_preset(name)

    assert term_names(config)
    assert config.batch.side <= config.batch.short_side
    assert config.preprocess.crop_side <= config.preprocess.short_side


def test_the_presets_are_those_that_are_promised() -> None:
    assert {path.stem for path in PRESETS.glob("*.toml")} >= {"paper", "aurl", "small", "k700"}


def test_further_continues_from_a_checkpoint_of_small() -> None:
    small, further = read_preset("small"), read_preset("further")

    same: tuple[str, ...] = (
        "model_id",
        "network",
        "shift_fraction",
        "word_head",
        "templates",
        "held_out",
    )
    same += ("sampling", "preprocess", "training_sampling", "batch", "centred")
    assert [name for name in same if getattr(small, name) != getattr(further, name)] == []
    # a head that has learned need not learn alone again
    assert further.optimiser.head_steps == 0
    assert further.optimiser.backbone_rate < small.optimiser.backbone_rate


def test_an_unknown_preset_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="aurl, further, k700, paper, small"):
        read_preset("large")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("colour = 1", "TrainConfig has no colour"),
        ("[batch]\nsize = 1", "BatchConfig has no size"),
        ('network = "vgg"', "network is one of"),
        ('[optimiser]\nname = "adamax"', "name is one of adam, adamw, sgd"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(line)

    with pytest.raises(ValueError, match=message):
        read_preset(str(path))


def test_a_preset_that_leaves_out_what_it_must_say_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('model_id = "mine"')

    with pytest.raises(ValueError, match=r"mine\.toml is not a complete configuration"):
        read_preset(str(path))


def kinetics_like(root: Path) -> Path:
    """Two clips of each of four classes in the CVD Foundation's layout, three seconds each."""
    (root / "annotations").mkdir(parents=True)
    (root / "train").mkdir()
    with (root / "annotations" / "train.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("label", "youtube_id", "time_start", "time_end", "split"))
        for number, colour in enumerate([*NAMES, *NAMES]):
            table.writerow((f"painting {colour}", f"{number:011d}", 5, 8, "train"))
            path = root / "train" / f"{number:011d}_000005_000008.mp4"
            write_clip(path, seconds_colours=[colour] * 3, width=170, height=128)
    return root


@pytest.mark.slow
def test_the_paper_runs_on_a_tree_like_kinetics_from_the_command_line(tmp_path: Path) -> None:
    from app.cli.program import cli

    manifest, out = tmp_path / "manifest.csv", tmp_path / "out"
    # fewer clips and samples, for the clock's sake: the tests beside this one count them
    preset = (PRESETS / "paper.toml").read_text()
    for whole, less in (("videos = 22", "videos = 2"), ("clips = 25", "clips = 1")):
        assert whole in preset
        preset = preset.replace(whole, less)
    (tmp_path / "paper.toml").write_text(preset)
    tree = str(kinetics_like(tmp_path / "k700"))
    made = CliRunner().invoke(cli, ["data", "manifest", "kinetics", tree, "--out", str(manifest)])
    assert made.exit_code == 0, made.output
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:3]))

    asked = ["train", "--preset", str(tmp_path / "paper.toml"), "--steps", "1"]
    asked += ["--data", str(manifest), "--out", str(out), "--workers", "0"]
    outcome = CliRunner().invoke(cli, asked)

    assert outcome.exit_code == 0, outcome.output
    (entry,) = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    # a squared distance of unit vectors, 2 on average for directions at random, over 384 numbers
    assert entry["mse"] == pytest.approx(2 / 384, rel=0.5)
    config = read_config(out / "checkpoint")
    assert config.encoder.network == "r2plus1d_18"
    assert config.sampling == SamplingConfig(1, 16, "consecutive")
    tensors = load_file(out / "checkpoint" / "model.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())


def test_the_papers_batches_are_22_clips_of_16_frames_of_112_pixels(tmp_path: Path) -> None:
    samples = import_layout("kinetics", kinetics_like(tmp_path)).samples
    paper = read_preset("paper")
    plans = StepPlans(
        samples,
        [[0]] * len(samples),
        paper.batch,
        bank_size=1,
        candidates=paper.objective.candidates,
        seed=paper.seed,
    )
    batches = StepBatches(plans, paper.training_sampling, paper.steps)

    assert batches[0].pixels[0].shape == (22, 1, 16, 3, 112, 112)
