"""Choose between fp32 and bf16 by timing a step.

On CPUs bf16 is slower for the backward pass of depthwise convolutions.
"""

import copy
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from model.encoder.networks import Network, video_features
from model.training.config import TrainConfig
from model.training.distributed import DistributedRank, total
from model.training.resources import Log
from model.training.state import saved_precision

_MAX_BATCH = 16
_REPEATS = 3


def settle_precision(
    config: TrainConfig,
    network: Network,
    out: Path,
    device: str,
    process: DistributedRank,
    log: Log = print,
) -> TrainConfig:
    """Replace the precision `probe` of `config` by the faster one.

    A run that continues from a state in `out` keeps the precision that it started with.
    """
    if config.precision != "probe":
        return config
    saved = saved_precision(out)
    if saved:
        return replace(config, precision=saved)
    # summed over all processes, so that they all choose the same
    fp32, bf16 = total(list(step_seconds(network, config, device)), process)
    faster = faster_precision(fp32, bf16)
    if process.is_first:
        log(f"precision {faster}: a step in bf16 takes {bf16 / fp32:.2f} of one in fp32")
    return replace(config, precision=faster)


def faster_precision(fp32_seconds: float, bf16_seconds: float) -> Literal["fp32", "bf16"]:
    """Choose the precision whose step takes less time, fp32 if they are equal."""
    return "bf16" if bf16_seconds < fp32_seconds else "fp32"


def step_seconds(network: Network, config: TrainConfig, device: str) -> tuple[float, float]:
    """Time a forward and backward pass on a copy: minimum seconds in fp32 and in bf16."""
    timed = copy.deepcopy(network).train()
    batch = config.batch
    frames = config.training_sampling.frames_per_clip if batch.videos else batch.picture_frames
    size = min(batch.micro_batch or _MAX_BATCH, _MAX_BATCH)
    pixels = torch.zeros((size, 1, frames, 3, batch.side, batch.side), device=device)
    fp32, bf16 = (
        min(_seconds(timed, pixels, enabled=enabled) for _ in range(_REPEATS))
        for enabled in (False, True)
    )
    return fp32, bf16


def _seconds(network: Network, pixels: Tensor, *, enabled: bool) -> float:
    _synchronize(pixels.device)
    start = time.perf_counter()
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=enabled):
        features = video_features(network, pixels)
    torch.autograd.backward([features.float().sum()])
    network.zero_grad(set_to_none=True)
    _synchronize(pixels.device)
    return time.perf_counter() - start


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
