"""What the shipped checkpoint says of its input, read without loading the network."""

import json
from functools import cache
from pathlib import Path

import model
from model import SamplingConfig

FOLDER = Path(model.__file__).parent / "default_checkpoint"


@cache
def checkpoint_config() -> tuple[SamplingConfig, int]:
    """How it samples a video, and the short side of the frames that it wants."""
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    return SamplingConfig(**config["sampling"]), config["preprocess"]["short_side"]
