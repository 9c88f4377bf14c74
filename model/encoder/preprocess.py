"""Frames as decoded to pixels as the network wants them; the numbers travel in the checkpoint."""

import math
from collections.abc import Sequence
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

    def __post_init__(self) -> None:
        if not 1 <= self.crop_side <= self.short_side:
            raise ValueError(f"crop_side {self.crop_side} must be in 1..{self.short_side}")
        if not 1.0 <= self.max_aspect_ratio < math.inf:
            raise ValueError(f"max_aspect_ratio must be at least 1, not {self.max_aspect_ratio}")
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise ValueError(f"mean {self.mean} or std {self.std} is no normalisation")


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
    videos: Sequence[npt.NDArray[np.uint8]], config: PreprocessConfig, *, device: str = "cpu"
) -> Tensor:
    """(T, H, W, 3) uint8 RGB frames of each video to (sum of T, 3, h, w) float32 on `device`.

    (h, w) is `crop_size` of the frame. Frames whose short side differs from `config.short_side`
    (a picture read elsewhere) are resized first. Bytes travel to the device as uint8, those of
    all videos in one copy; the arithmetic happens there. Raises ValueError where H or W differ.
    """
    pixels = _sent(videos, device).permute(0, 3, 1, 2)
    height, width = pixels.shape[-2:]
    if min(height, width) != config.short_side:
        scale = config.short_side / min(height, width)
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
        pixels = functional.interpolate(
            pixels.float(), (height, width), mode="bilinear", antialias=True
        )
    crop_height, crop_width = crop_size(height, width, config)
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    middle = pixels[..., top : top + crop_height, left : left + crop_width].permute(0, 2, 3, 1)
    # one copy, from bytes or resized floats to the float32 that the network reads; then in place
    rows = middle.to(torch.float32, copy=True, memory_format=torch.contiguous_format).flatten(2)
    scale, shift = _row_factors(config, crop_width, device)
    torch.addcmul(shift, rows, scale, out=rows)
    return rows.view(-1, crop_height, crop_width, 3).permute(0, 3, 1, 2)


def _row_factors(config: PreprocessConfig, width: int, device: str) -> Tensor:
    """What a row of `width` RGB pixels is multiplied by, and what is added: float32 (2, 3 width).

    A row long: three numbers would be spread over the pixels one by one, six times slower.
    """
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in (config.mean, config.std))
    factors = torch.stack([1 / (255.0 * std), -mean / std]).float().repeat(1, width)
    if torch.device(device).type == "cuda":
        factors = factors.pin_memory()  # or sending them would wait for the frames
    return factors.to(device, non_blocking=True)


def _sent(videos: Sequence[npt.NDArray[np.uint8]], device: str) -> Tensor:
    """The frames of all videos in a row, uint8 (T, H, W, 3) on `device`."""
    to_gpu = torch.device(device).type == "cuda"
    if len(videos) == 1 and not to_gpu:
        # torch warns about memory that it may not write to, such as a file's that is mapped
        writable = np.require(videos[0], requirements=["C_CONTIGUOUS", "WRITEABLE"])
        return torch.from_numpy(writable).to(device)
    # A GPU reads pinned memory by itself while this thread goes on. Torch hands the memory out
    # again only after the copy: see "CachingHostAllocator" in its sources.
    shape = (sum(map(len, videos)), *videos[0].shape[1:])
    row = torch.empty(shape, dtype=torch.uint8, pin_memory=to_gpu)
    np.concatenate(videos, out=row.numpy())
    return row.to(device, non_blocking=True)
