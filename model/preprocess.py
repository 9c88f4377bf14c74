"""Frames as decoded to pixels as the network wants them; the numbers travel in the checkpoint."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class PreprocessConfig:
    """Size and normalisation of the network's input.

    Frames come with their short side at `short_side`; the middle is cut out so that the short
    side is `crop_side` and the long side at most `max_aspect_ratio` times that (1 gives the
    paper's square centre crop; 16 / 9 keeps a whole widescreen picture). `mean` and `std` are per
    RGB channel on the 0..1 scale.
    """

    short_side: int
    crop_side: int
    max_aspect_ratio: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# The network halves its input five times; sides in whole steps waste no computation on padding.
_SIDE_STEP = 32


def crop_size(height: int, width: int, config: PreprocessConfig) -> tuple[int, int]:
    """Height and width in pixels of the middle that is kept of a (height, width) frame.

    The long side is rounded down to a multiple of 32, never below `crop_side`.
    """
    longest = min(max(height, width), int(config.crop_side * config.max_aspect_ratio + 0.5))
    long_side = max(config.crop_side, longest // _SIDE_STEP * _SIDE_STEP)
    return (config.crop_side, long_side) if width >= height else (long_side, config.crop_side)


def preprocess(
    frames: npt.NDArray[np.uint8], config: PreprocessConfig, *, device: str = "cpu"
) -> Tensor:
    """(T, H, W, 3) uint8 RGB frames to (T, 3, h, w) float32 pixels on `device`.

    Frames whose short side differs from `config.short_side` (a picture read elsewhere) are
    resized first. Bytes travel to the device as uint8; the arithmetic happens there.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(device, non_blocking=True)
    pixels = pixels.permute(0, 3, 1, 2)
    height, width = pixels.shape[-2:]
    if min(height, width) != config.short_side:
        scale = config.short_side / min(height, width)
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
        pixels = functional.interpolate(
            pixels.float(), (height, width), mode="bilinear", antialias=True
        )
    crop_height, crop_width = crop_size(height, width, config)
    crop_height, crop_width = min(crop_height, height), min(crop_width, width)
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    middle = pixels[..., top : top + crop_height, left : left + crop_width].float()
    scale_ = torch.tensor(config.std, device=middle.device).mul(255.0).view(3, 1, 1)
    offset = torch.tensor(config.mean, device=middle.device).mul(255.0).view(3, 1, 1)
    return ((middle - offset) / scale_).contiguous(memory_format=torch.channels_last)
