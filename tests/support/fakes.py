"""A checkpoint that can be computed by hand: a video is its mean colour, a word is an axis."""

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from model import (
    Calibration,
    CalibrationConfig,
    Encoder,
    PreprocessConfig,
    Runtime,
    SamplingConfig,
    Tagger,
)

AXES = {"red": 0, "green": 1, "blue": 2}


class ColourEncoder(Encoder):
    """Embeds a video as its mean red, green and blue, scaled to unit length."""

    dim = 3
    runtime = Runtime("eager", "float32")
    mixes_frames = False

    def features(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        return pixels.mean(dim=(2, 4, 5)).numpy()

    def embed(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return torch.nn.functional.normalize(torch.from_numpy(features), dim=-1).numpy()


class ColourText:
    """Embeds a text as the axes of the colours it names; grey when it names none."""

    dim = 3
    model_hash = "colours"

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.encoded += texts
        vectors = np.zeros((len(texts), 3), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word, axis in AXES.items():
                row[axis] += word in text.lower().split()
            if not row.any():
                row[:] = 1
        unit: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def colour_tagger(
    *, encoder: ColourEncoder | None = None, text: ColourText | None = None
) -> Tagger:
    """A tagger that names colours; its score is 0.5 at a cosine of 0.5."""
    return Tagger(
        encoder=encoder or ColourEncoder(),
        text=text or ColourText(),
        templates=("{}",),
        text_mean=np.zeros(3, np.float32),
        preprocess=PreprocessConfig(
            short_side=32, crop_side=32, max_aspect_ratio=1.0, mean=(0, 0, 0), std=(1, 1, 1)
        ),
        sampling=SamplingConfig(clips=1, frames_per_clip=4, spacing="spread"),
        calibration=Calibration(CalibrationConfig(score_slope=10.0, score_bias=-5.0)),
        model_id="colours",
        revision="0",
    )


class PatientEncoder(ColourEncoder):
    """Knows colours; waits with each answer for a sign, and after some windows for another."""

    def __init__(self) -> None:
        self.sign = threading.Event()
        self.more = threading.Event()
        self.stop_after: float = math.inf
        self._seen = 0

    def features(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        self.sign.wait()
        self._seen += len(pixels)
        if self._seen > self.stop_after:
            self.more.wait()
        return super().features(pixels)


class SlowBlueEncoder(ColourEncoder):
    """Knows colours; needs ten minutes for a blue video."""

    def features(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        features = super().features(pixels)
        if (self.embed(features.mean(axis=1))[:, AXES["blue"]] > 0.9).any():
            time.sleep(600)
        return features


def doubtful_tagger() -> Tagger:
    """A tagger of colours for which every video is unknown."""
    config = CalibrationConfig(score_slope=10.0, score_bias=-5.0, unknown_limit=0.0)
    return replace(colour_tagger(), calibration=Calibration(config))


def sure_tagger(encoder: ColourEncoder | None = None) -> Tagger:
    """A tagger of colours for which no video is unknown, not even one that no label fits."""
    config = CalibrationConfig(score_slope=10.0, score_bias=-5.0, unknown_limit=1.0)
    return replace(colour_tagger(encoder=encoder), calibration=Calibration(config))
