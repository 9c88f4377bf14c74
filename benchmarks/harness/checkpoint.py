"""Input of the shipped checkpoint, read from its config without loading the network."""

import json
from functools import cache
from pathlib import Path

import model
from model import SamplingConfig

FOLDER = Path(model.__file__).parent / "default_checkpoint"


@cache
def checkpoint_config() -> tuple[SamplingConfig, int]:
    """The checkpoint's frame sampling, and the short side of its frames in pixels."""
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    return SamplingConfig(**config["sampling"]), config["preprocess"]["short_side"]
