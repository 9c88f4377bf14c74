"""A training run as a program, alone or under torchrun, with the tests' own text encoder.

Run as `python -m tests.support.training_process TREE OUT STEPS [PAUSE]`. After step PAUSE it
waits for a line on stdin.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from model.training.config import OptimiserConfig
from model.training.data.manifest import read_manifest
from model.training.resources import TrainingResources
from model.training.train import train
from tests.support.training_tree import DIM, tiny_config
from tests.support.word_vectors import WordVectors


def main(tree: str, out: str, steps: str, pause: str = "") -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    samples = [
        sample
        for part in ("pictures", "clips")
        for sample in read_manifest(Path(tree) / part / "manifest.csv")
    ]
    # plain SGD: Adam would magnify a rounding error in a tiny gradient to a whole step
    optimiser = OptimiserConfig(
        name="sgd", backbone_rate=0.05, head_rate=0.05, ema_decay=0.5, frozen_blocks=2, head_steps=2
    )
    config = replace(tiny_config(steps=int(steps)), optimiser=optimiser, save_every=1000)
    config = replace(config, objective=replace(config.objective, contrastive=0.5))

    def log(line: str) -> None:
        print(line, flush=True)
        if pause and line.startswith(f"step {pause}/"):
            sys.stdin.readline()

    resources = TrainingResources(log=log)
    train(config, samples, WordVectors(DIM), Path(out), resources)


if __name__ == "__main__":
    main(*sys.argv[1:])
