"""A data set for zero-shot learning in seconds: pictures of one colour, with names of colours.

No name shares a word with another, so that only the text encoder relates them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from model import PreprocessConfig, SamplingConfig
from model.encoder.networks import Network, build_network
from model.training.config import BatchConfig, ObjectiveConfig, OptimiserConfig, TrainConfig
from model.training.data.manifest import Sample
from model.training.words.held_out import HeldOut

NAMES = {
    "ruby": (1, 0, 0),
    "moss": (0, 1, 0),
    "navy": (0, 0, 1),
    "gold": (1, 1, 0),
    "teal": (0, 1, 1),
    "plum": (1, 0, 1),
    "snow": (1, 1, 1),
}
HELD_OUT = HeldOut(test=("gold", "teal"), validation=("plum", "snow"))


class ColourNames:
    """Embeds a text as the colour of its first known name; other texts as (1, -1, 1)."""

    dim = 3
    model_hash = "colour names"

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        rows = []
        for text in texts:
            known = [NAMES[word] for word in text.split() if word in NAMES]
            rows.append(known[0] if known else (1, -1, 1))
        vectors = np.array(rows, np.float32).reshape(len(texts), 3)
        unit: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def colour_samples(folder: Path, each: int = 4) -> list[Sample]:
    """Write `each` pictures of every name, of different brightness."""
    samples = []
    for name, colour in NAMES.items():
        for number in range(each):
            path = folder / f"{name}{number}.png"
            level = 110 + 130 * number // each
            Image.new("RGB", (36, 32), tuple(level * part for part in colour)).save(path)
            samples.append(Sample(path, "", name, (), "colours", "train"))
    return samples


def calibrated_network(seed: int = 0) -> Network:
    """A network with random weights and fitted batch norm, so that outputs depend on inputs."""
    torch.manual_seed(seed)
    network = build_network(tiny_config().encoder)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # plain average over all batches
    with torch.no_grad():
        network.train()(torch.randn(32, 1, 1, 3, 1, 1).expand(-1, -1, -1, -1, 32, 32))
    return network.eval()


def tiny_config(**changes: object) -> TrainConfig:
    """A training configuration that takes seconds, from random weights."""
    plain: dict[str, object] = {
        "model_id": "tiny",
        "network": "efficientnet_lite0",
        "steps": 3,
        "sampling": SamplingConfig(1, 2),
        "training_sampling": SamplingConfig(1, 2),
        "preprocess": PreprocessConfig(32, 32, 1.0, (0.5,) * 3, (0.5,) * 3),
        "objective": ObjectiveConfig(cross_entropy=1.0, cosine=0.5, distillation=0.1, candidates=2),
        "optimiser": OptimiserConfig(head_steps=1, ema_decay=0.5),
        "batch": BatchConfig(short_side=32, side=32, pictures=4),
        "word_head": True,
        "dim": 3,
    }
    return TrainConfig(**{**plain, **changes})  # type: ignore[arg-type]  # values of many types
