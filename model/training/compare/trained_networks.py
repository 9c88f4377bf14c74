"""The networks of arms whose backbone learns: trained here, or read from a checkpoint."""

import copy
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.torch import load_file

from model.checkpoint import load_checkpoint, network_from, read_config
from model.encoder.networks import Network, SemanticHead
from model.text.text_encoder import TextEncoder, normalise
from model.training.compare.problem import Problem
from model.training.config import TrainConfig
from model.training.data.manifest import Sample
from model.training.features import Vectors, interpolate
from model.training.resources import TrainingResources
from model.training.train import Trained, train

WISE_SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TrainedNetwork:
    """A trained network and the mean (D,) that centres its label vectors."""

    network: Network
    mean: Vectors


class Stopped(RuntimeError):
    """A run ended before its last step, on SIGTERM; the same command continues it."""


class ArbitraryWords:
    """A text encoder that maps each text to a fixed random direction, without its meaning.

    Cross-entropy over fixed random directions is plain classification (Hoffer et al., ICLR 2018).
    """

    model_hash = "arbitrary"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Map (N,) texts to (N, dim) float32 unit vectors."""
        rows = np.empty((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
            row[:] = np.random.default_rng(seed).standard_normal(self.dim)
        return normalise(rows)


def end_to_end(
    problem: Problem, out: Path, seed: int, resources: TrainingResources
) -> TrainedNetwork:
    """Train arm E: the configuration unchanged. Raises Stopped."""
    trained = _train_completely(
        replace(problem.config, seed=seed), problem.training, problem.text, out, resources
    )
    return TrainedNetwork(trained.network.cpu(), trained.bank.mean)


def from_scratch(
    problem: Problem, out: Path, seed: int, resources: TrainingResources
) -> TrainedNetwork:
    """Train arm S: random initial weights, nothing frozen, no distillation. Raises Stopped."""
    return end_to_end(replace(problem, config=scratch_config(problem.config)), out, seed, resources)


def scratch_config(config: TrainConfig) -> TrainConfig:
    """Return the configuration with random initial weights, and the same steps and batches."""
    return replace(
        config,
        init="scratch",
        word_head=False,
        objective=replace(config.objective, distillation=0.0),
        optimiser=replace(config.optimiser, head_steps=0, frozen_blocks=0, freeze_statistics=False),
    )


def classifier(
    problem: Problem, out: Path, seed: int, resources: TrainingResources
) -> TrainedNetwork:
    """Train the network of F3 to classify the training labels, without their meaning.

    Raises Stopped.
    """
    config = replace(
        problem.config,
        seed=seed,
        word_head=False,
        objective=replace(problem.config.objective, distillation=0.0),
    )
    labelled = [sample for sample in problem.training if sample.label]
    trained = _train_completely(config, labelled, ArbitraryWords(config.dim), out, resources)
    return TrainedNetwork(trained.network.cpu(), problem.bank.mean)


def _train_completely(
    config: TrainConfig,
    samples: Sequence[Sample],
    text: TextEncoder,
    out: Path,
    resources: TrainingResources,
) -> Trained:
    """Train to the last step. Raises Stopped otherwise: a shorter run is no fair comparison."""
    named = replace(resources, log=lambda line: resources.log(f"{out.name}: {line}"))
    trained = train(config, samples, text, out, named)
    if trained.steps < config.steps:
        raise Stopped(f"{out} has done {trained.steps} of {config.steps} steps")
    return trained


def from_checkpoint(directory: Path, problem: Problem) -> TrainedNetwork:
    """Read the network of a checkpoint that was trained elsewhere. Raises CheckpointError."""
    tagger = load_checkpoint(directory, text=problem.text)
    tensors = load_file(directory / "model.safetensors")
    return TrainedNetwork(network_from(read_config(directory).encoder, tensors), tagger.text_mean)


def interpolations(
    frozen: Network, head: SemanticHead, trained: Network
) -> Iterator[tuple[float, Network]]:
    """Interpolate between the frozen network with its trained head and E, for every share.

    WiSE-FT (Wortsman et al., CVPR 2022). Share 0 is the frozen network, 1 the trained one.
    """
    start = copy.deepcopy(frozen)
    start.head = copy.deepcopy(head)
    for share in WISE_SHARES:
        yield share, interpolate(start, trained, share)
