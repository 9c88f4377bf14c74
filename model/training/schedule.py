"""Learning rates by step, the optimiser, and which weights are trained."""

import math

import torch
from torch import nn

from model.encoder.networks import FrameNetwork, Network
from model.training.config import OptimiserConfig

BACKBONE, HEAD = "backbone", "head"


def freeze(network: Network, config: OptimiserConfig) -> None:
    """Disable gradients of the stem and the first `frozen_blocks` blocks."""
    if not config.frozen_blocks or not isinstance(network, FrameNetwork):
        return
    frozen: list[nn.Module] = [network.backbone.stem]
    frozen += list(network.backbone.blocks)[: config.frozen_blocks]
    for module in frozen:
        module.requires_grad_(False)


def set_training_mode(network: Network, config: OptimiserConfig) -> None:
    """Set training mode; with `freeze_statistics` batch norm keeps its statistics."""
    network.train()
    if config.freeze_statistics:
        network.backbone.eval()


def optimiser_for(
    network: Network, scale: nn.Parameter, config: OptimiserConfig
) -> torch.optim.Optimizer:
    """Build the optimiser, with parameter groups for the backbone and for the head and the scale.

    Vectors (biases, batch norm) and the scale have no weight decay.
    """
    groups = []
    for part, module in ((BACKBONE, network.backbone), (HEAD, network.head)):
        parameters = [p for p in module.parameters() if p.requires_grad]
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1] + ([scale] if part == HEAD else [])
        groups.append({"params": matrices, "weight_decay": config.weight_decay, "part": part})
        groups.append({"params": vectors, "weight_decay": 0.0, "part": part})
    groups = [group for group in groups if group["params"]]
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=config.momentum)
    kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    return kind(groups, lr=0.0)


def set_rates(
    optimiser: torch.optim.Optimizer, config: OptimiserConfig, step: int, steps: int
) -> None:
    """Set the learning rate of every group for `step` (from 0) of `steps`."""
    for group in optimiser.param_groups:
        if group["part"] == BACKBONE:
            group["lr"] = config.backbone_rate * rate_factor(config, step, steps)
        elif step < config.head_steps:
            group["lr"] = config.head_rate
        else:
            group["lr"] = config.head_rate * rate_factor(config, step, steps)


def rate_factor(config: OptimiserConfig, step: int, steps: int) -> float:
    """Compute the factor 0..1 of the full rate: 0 for `head_steps`, warm-up, then schedule."""
    if step < config.head_steps:
        return 0.0
    done, total = step - config.head_steps, max(1, steps - config.head_steps)
    if done < config.warmup_steps:
        return (done + 1) / config.warmup_steps
    if config.schedule == "steps":
        return float(0.1 ** sum(done >= milestone * total for milestone in config.milestones))
    return 0.5 * (1.0 + math.cos(math.pi * done / total))
