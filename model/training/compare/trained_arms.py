"""The arms whose backbone learns: trained here, or taken from a checkpoint."""

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
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
from model.training.features import Vectors, between
from model.training.train import Trained, train

WISE_SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Learned:
    """A trained network and the mean (D,) that centres its label vectors."""

    network: Network
    mean: Vectors


class Stopped(RuntimeError):
    """A run that was told to stop before its last step; the same command goes on with it."""


class ArbitraryWords:
    """Texts as directions that say nothing: a classifier whose classes have no meaning.

    Cross-entropy over fixed random directions is plain classification (Hoffer et al., ICLR 2018).
    """

    model_hash = "arbitrary"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(N,) texts to (N, dim) float32 unit vectors."""
        rows = np.empty((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
            row[:] = np.random.default_rng(seed).standard_normal(self.dim)
        return normalise(rows)


@dataclass(frozen=True, slots=True)
class Means:
    """What a run is given beside its question: as in `train`."""

    device: str = "cpu"
    workers: int = 1
    say: Callable[[str], None] = print


def end_to_end(problem: Problem, out: Path, seed: int, means: Means) -> Learned:
    """E: the configuration as it stands. Raises Stopped."""
    trained = _whole(replace(problem.config, seed=seed), problem.training, problem.text, out, means)
    return Learned(trained.network.cpu(), trained.bank.mean)


def from_scratch(problem: Problem, out: Path, seed: int, means: Means) -> Learned:
    """S: random weights, so that there is nothing to keep frozen or to distil from.

    Raises Stopped.
    """
    return end_to_end(replace(problem, config=scratch_config(problem.config)), out, seed, means)


def scratch_config(config: TrainConfig) -> TrainConfig:
    """The configuration from random weights, with the same steps and batches."""
    return replace(
        config,
        init="scratch",
        word_head=False,
        objective=replace(config.objective, distillation=0.0),
        optimiser=replace(config.optimiser, head_steps=0, frozen_blocks=0, freeze_statistics=False),
    )


def classifier(problem: Problem, out: Path, seed: int, means: Means) -> Learned:
    """The network of F3: it learns to tell the training labels apart, not what they mean.

    Raises Stopped.
    """
    config = replace(
        problem.config,
        seed=seed,
        word_head=False,
        objective=replace(problem.config.objective, distillation=0.0),
    )
    labelled = [sample for sample in problem.training if sample.label]
    trained = _whole(config, labelled, ArbitraryWords(config.dim), out, means)
    return Learned(trained.network.cpu(), problem.bank.mean)


def _whole(
    config: TrainConfig, samples: Sequence[Sample], text: TextEncoder, out: Path, means: Means
) -> Trained:
    """A run to its last step: half of a budget would be no fair comparison."""
    trained = train(
        config,
        samples,
        text,
        out,
        device=means.device,
        workers=means.workers,
        say=lambda line: means.say(f"{out.name}: {line}"),
    )
    if trained.steps < config.steps:
        raise Stopped(f"{out} has done {trained.steps} of {config.steps} steps")
    return trained


def from_checkpoint(directory: Path, problem: Problem) -> Learned:
    """The network of a checkpoint that was trained elsewhere. Raises CheckpointError."""
    tagger = load_checkpoint(directory, text=problem.text)
    tensors = load_file(directory / "model.safetensors")
    return Learned(network_from(read_config(directory).encoder, tensors), tagger.text_mean)


def interpolations(
    frozen: Network, head: SemanticHead, learned: Network
) -> Iterator[tuple[float, Network]]:
    """WiSE-FT (Wortsman et al., CVPR 2022): between a frozen network with its head and E.

    The share counts how far it goes from the frozen one to the learned one.
    """
    start = copy.deepcopy(frozen)
    start.head = copy.deepcopy(head)
    for share in WISE_SHARES:
        yield share, between(start, learned, share)
