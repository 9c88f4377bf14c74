"""Is bf16 faster than fp32 here? Not for the depthwise convolutions of a CPU's backward pass."""

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from model.encoder.networks import Network, video_features
from model.training.config import TrainConfig
from model.training.distributed import Place, total
from model.training.state import saved_precision

_LARGEST_BATCH = 16
_REPEATS = 3


def settle_precision(
    config: TrainConfig,
    network: Network,
    out: Path,
    device: str,
    place: Place,
    say: Callable[[str], None] = print,
) -> TrainConfig:
    """`config` with `probe` replaced by what is faster; a run goes on with what it began with."""
    if config.precision != "probe":
        return config
    known = saved_precision(out)
    if known:
        return replace(config, precision=known)
    # all processes must choose alike: they add their times up
    fp32, bf16 = total(list(step_seconds(network, config, device)), place)
    faster: Literal["fp32", "bf16"] = "bf16" if bf16 < fp32 else "fp32"
    if place.is_first:
        say(f"precision {faster}: a step in bf16 takes {bf16 / fp32:.2f} of one in fp32")
    return replace(config, precision=faster)


def step_seconds(network: Network, config: TrainConfig, device: str) -> tuple[float, float]:
    """Least seconds of a forward and backward pass in fp32 and in bf16, on a copy."""
    tried = copy.deepcopy(network).train()
    batch = config.batch
    frames = config.training_sampling.frames_per_clip if batch.videos else batch.picture_frames
    size = min(batch.micro_batch or _LARGEST_BATCH, _LARGEST_BATCH)
    pixels = torch.zeros((size, 1, frames, 3, batch.side, batch.side), device=device)
    fp32, bf16 = (
        min(_seconds(tried, pixels, enabled=enabled) for _ in range(_REPEATS))
        for enabled in (False, True)
    )
    return fp32, bf16


def _seconds(network: Network, pixels: Tensor, *, enabled: bool) -> float:
    _wait(pixels.device)
    start = time.perf_counter()
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=enabled):
        features = video_features(network, pixels)
    torch.autograd.backward([features.float().sum()])
    network.zero_grad(set_to_none=True)
    _wait(pixels.device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
