"""A run's state on disk: safetensors with JSON metadata, written atomically.

Batches are a function of the step, and networks use no random numbers, so that weights, their
average, the optimiser's moments and the step number are the complete state.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.encoder.networks import Network
from model.training.config import TrainConfig, as_document, from_document

STATE = "state.safetensors"


@dataclass(frozen=True, slots=True)
class TrainState:
    """The objects in memory that a state is saved from and loaded into.

    `data` is the digest of the run's samples.
    """

    network: Network
    averaged: Network
    scale: nn.Parameter
    optimiser: torch.optim.Optimizer
    data: str = ""


def save_state(out: Path, state: TrainState, config: TrainConfig, step: int) -> None:
    """Write the state after `step` steps; the file is replaced atomically."""
    tensors = {f"network.{k}": v for k, v in state.network.state_dict().items()}
    tensors |= {f"averaged.{k}": v for k, v in state.averaged.state_dict().items()}
    tensors["scale"] = state.scale.detach()
    for row, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"moments.{row}.{k}": v for k, v in moments.items() if torch.is_tensor(v)}
    document = json.dumps(as_document(config), sort_keys=True)
    metadata = {"step": str(step), "config": document, "data": state.data}
    partial = out / (STATE + ".partial")
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, partial, metadata)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(out / STATE)


def load_state(out: Path, state: TrainState, config: TrainConfig) -> int:
    """Load the saved state; return the number of steps done, 0 without a saved state.

    Raises ValueError when the state belongs to another configuration or other data.
    """
    path = out / STATE
    if not path.exists():
        return 0
    metadata = _metadata(path)
    if not _is_same_run(metadata["config"], config):
        raise ValueError(
            f"{path} belongs to a run with another configuration; choose another --out"
        )
    if metadata.get("data", state.data) != state.data:
        raise ValueError(f"{path} belongs to a run on other data; choose another --out")
    tensors = load_file(path)
    state.network.load_state_dict(_part(tensors, "network."))
    state.averaged.load_state_dict(_part(tensors, "averaged."))
    with torch.no_grad():
        state.scale.copy_(tensors["scale"])
    document = state.optimiser.state_dict()
    for name, value in _part(tensors, "moments.").items():
        row, _, key = name.partition(".")
        document["state"].setdefault(int(row), {})[key] = value
    state.optimiser.load_state_dict(document)
    return int(metadata["step"])


def saved_precision(out: Path) -> Literal["fp32", "bf16"] | None:
    """Return the precision of the run whose state is in `out`; None without a saved state."""
    path = out / STATE
    if not path.exists():
        return None
    precision: Literal["fp32", "bf16"] = json.loads(_metadata(path)["config"])["precision"]
    return precision


def _metadata(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    metadata: dict[str, str] = header["__metadata__"]
    return metadata


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _is_same_run(saved: str, config: TrainConfig) -> bool:
    """Whether a saved configuration equals `config`; options it lacks have their defaults."""
    try:
        return from_document(json.loads(saved)) == config
    except (ValueError, TypeError):
        return False
