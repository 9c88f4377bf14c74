"""Precision is probed once, and a run keeps what it began with."""

from pathlib import Path

import pytest
import torch

from model.encoder.networks import build_network
from model.training.data.manifest import read_manifest
from model.training.distributed import DistributedRank
from model.training.precision import settle_precision, step_seconds
from model.training.resources import TrainingResources
from model.training.state import saved_precision
from model.training.train import train
from tests.support.training_tree import DIM, tiny_config, write_pictures
from tests.support.word_vectors import WordVectors


def test_the_faster_precision_is_taken_and_said(tmp_path: Path) -> None:
    config = tiny_config(precision="probe")
    network = build_network(config.encoder)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    lines: list[str] = []

    settled = settle_precision(config, network, tmp_path, "cpu", DistributedRank(), lines.append)

    assert settled.precision in ("fp32", "bf16")
    (line,) = lines
    times = float(line.split(" takes ")[1].split()[0])
    assert (settled.precision == "bf16") == (times < 1)
    after = network.state_dict()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []


def test_both_precisions_are_timed() -> None:
    config = tiny_config()

    assert min(step_seconds(build_network(config.encoder), config, "cpu")) > 0


@pytest.mark.parametrize("begun", ["fp32", "bf16"])
def test_a_run_goes_on_in_the_precision_that_it_began_with(tmp_path: Path, begun: str) -> None:
    samples = read_manifest(write_pictures(tmp_path / "pictures"))
    text, out = WordVectors(DIM), tmp_path / "out"
    train(
        tiny_config(steps=2, precision=begun), samples, text, out, TrainingResources(max_minutes=0)
    )
    assert saved_precision(out) == begun

    lines: list[str] = []
    config = tiny_config(steps=2, precision="probe")
    assert train(config, samples, text, out, TrainingResources(log=lines.append)).steps == 2
    assert not [line for line in lines if line.startswith("precision")]
