"""The precision is probed once, and a run keeps the precision that it started with."""

from pathlib import Path

import pytest
import torch

from model.encoder.networks import build_network
from model.training.data.manifest import read_manifest
from model.training.distributed import DistributedRank
from model.training.precision import faster_precision, settle_precision, step_seconds
from model.training.resources import TrainingResources
from model.training.state import saved_precision
from model.training.train import train
from tests.support.training_tree import DIM, tiny_config, write_pictures
from tests.support.word_vectors import WordVectors


@pytest.mark.parametrize(
    ("fp32", "bf16", "faster"),
    [(1.0, 0.99, "bf16"), (1.0, 1.01, "fp32"), (1.0, 1.0, "fp32")],
)
def test_the_faster_precision_is_chosen(fp32: float, bf16: float, faster: str) -> None:
    assert faster_precision(fp32, bf16) == faster


@pytest.mark.slow
def test_the_chosen_precision_is_logged_and_no_weight_changes(tmp_path: Path) -> None:
    config = tiny_config(precision="probe")
    network = build_network(config.encoder)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    lines: list[str] = []

    settled = settle_precision(config, network, tmp_path, "cpu", DistributedRank(), lines.append)

    assert settled.precision in ("fp32", "bf16")
    (line,) = lines
    assert line.startswith(f"precision {settled.precision}: a step in bf16 takes ")
    after = network.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []


@pytest.mark.slow
def test_both_precisions_are_timed() -> None:
    config = tiny_config()

    assert min(step_seconds(build_network(config.encoder), config, "cpu")) > 0


@pytest.mark.parametrize("started", ["fp32", "bf16"])
def test_a_run_continues_in_the_precision_that_it_started_with(
    tmp_path: Path, started: str
) -> None:
    samples = read_manifest(write_pictures(tmp_path / "pictures"))
    text, out = WordVectors(DIM), tmp_path / "out"
    train(
        tiny_config(steps=2, precision=started),
        samples,
        text,
        out,
        TrainingResources(max_minutes=0),
    )
    assert saved_precision(out) == started

    lines: list[str] = []
    config = tiny_config(steps=2, precision="probe")
    assert train(config, samples, text, out, TrainingResources(log=lines.append)).steps == 2
    assert not [line for line in lines if line.startswith("precision")]
