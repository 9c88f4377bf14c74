"""A training set that is learnt in seconds: pictures and clips labelled with their colour."""

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from model.encoder.preprocess import PreprocessConfig
from model.training.config import BatchConfig, ObjectiveConfig, OptimiserConfig, TrainConfig
from model.video.sampling import SamplingConfig
from tests.support.clips import COLOURS, write_clip

NAMES = ("red", "green", "blue", "yellow")
DIM = 16


def picture_bytes(colour: str, seed: int = 0, size: tuple[int, int] = (40, 32)) -> bytes:
    """A PNG of one colour with some noise, (width, height)."""
    noise = np.random.default_rng(seed).integers(-15, 15, (size[1], size[0], 3))
    pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write_pictures(folder: Path, each: int = 4) -> Path:
    """Write `each` pictures of every colour to a zip shard; return the manifest's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [("shard", "name", "label", "dataset")]
    with zipfile.ZipFile(folder / "colours.zip", "w") as shard:
        for number in range(each * len(NAMES)):
            colour = NAMES[number % len(NAMES)]
            shard.writestr(f"{number}.png", picture_bytes(colour, number))
            rows.append(("colours.zip", f"{number}.png", f"{colour} wall", "walls"))
    return _write_rows(folder / "manifest.csv", rows)


def write_clips(folder: Path, each: int = 1) -> Path:
    """Write `each` two-second clips of every colour as files; return the manifest's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [("path", "label", "dataset")]
    for number in range(each * len(NAMES)):
        colour = NAMES[number % len(NAMES)]
        write_clip(folder / f"{number}.mp4", seconds_colours=[colour, colour])
        rows.append((f"{number}.mp4", f"{colour} lamp", "lamps"))
    return _write_rows(folder / "manifest.csv", rows)


def _write_rows(path: Path, rows: Sequence[tuple[str, ...]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def tiny_config(**changes: Any) -> TrainConfig:
    """A training configuration that takes seconds: the smallest network at 32 pixels."""
    config = TrainConfig(
        model_id="tiny",
        network="efficientnet_lite0",
        steps=6,
        sampling=SamplingConfig(1, 2),
        training_sampling=SamplingConfig(1, 2),
        preprocess=PreprocessConfig(32, 32, 1.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        objective=ObjectiveConfig(cross_entropy=1.0, cosine=0.5, candidates=8),
        optimiser=OptimiserConfig(backbone_rate=1e-3, head_rate=1e-3, ema_decay=0.5),
        batch=BatchConfig(short_side=32, side=32, pictures=8, videos=4, smallest_crop=0.5),
        save_every=2,
        dim=DIM,
    )
    return replace(config, **changes)
