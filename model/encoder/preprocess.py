"""Convert decoded frames to the network's input; sizes and normalisation are in the checkpoint."""

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

    Frames are decoded with a short side of `short_side` pixels. The centre is cropped to a short
    side of `crop_side` and a long side of at most `max_aspect_ratio` times that (1 is the paper's
    square centre crop; 16 / 9 keeps a whole widescreen frame). With `squash` the whole frame is
    resized to a square of `crop_side` instead, whatever its aspect ratio; with `whole` nothing is
    cut off. `mean` and `std` are per RGB channel on the 0..1 scale. Raises ValueError for values
    out of range.
    """

    short_side: int
    crop_side: int
    max_aspect_ratio: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    squash: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.crop_side <= self.short_side:
            raise ValueError(
                f"crop_side must be in 1..{self.short_side} (short_side), not {self.crop_side}"
            )
        if not 1.0 <= self.max_aspect_ratio < math.inf:
            raise ValueError(
                f"max_aspect_ratio must be finite and at least 1, not {self.max_aspect_ratio}"
            )
        if not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0:
            raise ValueError(
                "mean must be finite and std finite and positive, not "
                f"mean {self.mean} and std {self.std}"
            )


# The network halves its input five times; multiples of 2**5 need no padding.
_SIDE_STEP = 32


def crop_size(height: int, width: int, config: PreprocessConfig) -> tuple[int, int]:
    """Return height and width in pixels of what the network sees of a (height, width) frame.

    The long side of a crop is rounded down to a multiple of 32, never below `crop_side`.
    """
    if config.squash:
        return config.crop_side, config.crop_side
    if config.whole:
        return height, width
    longest = min(max(height, width), int(config.crop_side * config.max_aspect_ratio + 0.5))
    long_side = max(config.crop_side, longest // _SIDE_STEP * _SIDE_STEP)
    return (config.crop_side, long_side) if width >= height else (long_side, config.crop_side)


def preprocess(
    videos: Sequence[npt.NDArray[np.uint8]], config: PreprocessConfig, *, device: str = "cpu"
) -> Tensor:
    """Crop and normalise (T, H, W, 3) uint8 RGB frames of videos of one size.

    Returns (sum of T, 3, h, w) float32 on `device`, channels last; (h, w) is `crop_size` of the
    frames. Frames whose short side is not `config.short_side`, such as images that another program
    decoded, are resized first. The frames of all videos are copied to the device as uint8 at once
    and converted there. Raises ValueError where H or W differ between videos.
    """
    pixels = _on_device(videos, device).permute(0, 3, 1, 2)
    height, width = pixels.shape[-2:]
    wanted = _resized_size(height, width, config)
    if (height, width) != wanted:
        pixels = functional.interpolate(pixels.float(), wanted, mode="bilinear", antialias=True)
    height, width = wanted
    crop_height, crop_width = crop_size(height, width, config)
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    middle = pixels[..., top : top + crop_height, left : left + crop_width].permute(0, 2, 3, 1)
    # One copy, from uint8 or resized floats to float32; the rest is computed in place.
    rows = middle.to(torch.float32, copy=True, memory_format=torch.contiguous_format).flatten(2)
    scale, shift = _row_factors(config, crop_width, device)
    torch.addcmul(shift, rows, scale, out=rows)
    return rows.view(-1, crop_height, crop_width, 3).permute(0, 3, 1, 2)


def _resized_size(height: int, width: int, config: PreprocessConfig) -> tuple[int, int]:
    """Return height and width of a (height, width) frame before it is cropped."""
    if config.squash:
        return config.crop_side, config.crop_side
    if min(height, width) == config.short_side:
        return height, width
    scale = config.short_side / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _row_factors(config: PreprocessConfig, width: int, device: str) -> Tensor:
    """Factors and summands of a row of `width` RGB pixels, float32 (2, 3 width).

    As long as a row, because broadcasting three numbers to each pixel is six times slower.
    """
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in (config.mean, config.std))
    factors = torch.stack([1 / (255.0 * std), -mean / std]).float().repeat(1, width)
    if torch.device(device).type == "cuda":
        factors = factors.pin_memory()  # otherwise the copy waits for that of the frames
    return factors.to(device, non_blocking=True)


def _on_device(videos: Sequence[npt.NDArray[np.uint8]], device: str) -> Tensor:
    """Concatenate the frames of all videos: uint8 (T, H, W, 3) on `device`."""
    to_gpu = torch.device(device).type == "cuda"
    if len(videos) == 1 and not to_gpu:
        # torch warns about read-only memory, such as that of a mapped file.
        writable = np.require(videos[0], requirements=["C_CONTIGUOUS", "WRITEABLE"])
        return torch.from_numpy(writable).to(device)
    # A GPU copies pinned memory while this thread continues. Torch reuses the memory only after the
    # copy; see CachingHostAllocator in its source code.
    shape = (sum(map(len, videos)), *videos[0].shape[1:])
    joined = torch.empty(shape, dtype=torch.uint8, pin_memory=to_gpu)
    np.concatenate(videos, out=joined.numpy())
    return joined.to(device, non_blocking=True)
