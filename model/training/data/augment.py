"""Augmentation: random crops, flips and brightness; moving crops of still pictures."""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from model.training.config import BatchConfig

_ASPECT = (3 / 4, 4 / 3)  # torchvision's RandomResizedCrop


def augment(
    clip: npt.NDArray[np.uint8],
    config: BatchConfig,
    rng: np.random.Generator,
    *,
    frames: int,
) -> Tensor:
    """Augment (T, H, W, 3) uint8 frames to (frames, 3, side, side) uint8.

    A video keeps one crop over time. For a single picture and `frames` above 1, the crop moves in
    equal steps between two random crops (the Ken Burns effect of the paper, section 4.1).
    """
    height, width = clip.shape[1:3]
    first = random_box(height, width, config, rng)
    moves = len(clip) == 1 and frames > 1
    last = random_box(height, width, config, rng) if moves else first
    pixels = torch.from_numpy(np.array(clip)).permute(0, 3, 1, 2)
    if moves:
        steps = np.linspace(0.0, 1.0, frames)
        boxes = [tuple(np.add(np.multiply(first, 1 - s), np.multiply(last, s))) for s in steps]
        cropped = torch.cat([_crop(pixels, box, config.side) for box in boxes])
    else:
        cropped = _crop(pixels, first, config.side)
    if rng.random() < 0.5:
        cropped = functional.horizontal_flip(cropped)
    if config.brightness:
        factors = rng.uniform(1 - config.brightness, 1 + config.brightness, size=2)
        cropped = functional.adjust_brightness(cropped, float(factors[0]))
        cropped = functional.adjust_contrast(cropped, float(factors[1]))
    return cropped


def random_box(
    height: int, width: int, config: BatchConfig, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Draw a random crop as `config` specifies: top, left, height and width in pixels."""
    if not config.smallest_crop:
        side = min(config.side, height, width)
        corner = rng.integers((height - side + 1, width - side + 1))
        return float(corner[0]), float(corner[1]), side, side
    for _ in range(10):
        area = height * width * rng.uniform(config.smallest_crop, 1.0)
        aspect = math.exp(rng.uniform(math.log(_ASPECT[0]), math.log(_ASPECT[1])))
        crop_width, crop_height = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if crop_width <= width and crop_height <= height:
            top = rng.uniform(0, height - crop_height)
            return top, rng.uniform(0, width - crop_width), crop_height, crop_width
    short = min(height, width)
    return (height - short) / 2, (width - short) / 2, short, short


def _crop(pixels: Tensor, box: tuple[float, ...], side: int) -> Tensor:
    top, left, height, width = (round(value) for value in box)
    cropped: Tensor = functional.resized_crop(
        pixels, top, left, max(1, height), max(1, width), [side, side], antialias=True
    )
    return cropped
