"""A checkpoint in a few lines, for a person who wonders what is in the folder."""

import math
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open

from model.checkpoint import find_checkpoint, read_config
from model.errors import CheckpointError


def summary_of(name_or_path: str) -> Mapping[str, str]:
    """What a checkpoint is, by directory or Hub id; nothing but its header is read of the weights.

    Raises CheckpointError.
    """
    directory = find_checkpoint(name_or_path)
    config = read_config(directory)
    weights, bank = _sizes(directory / "model.safetensors")
    sampling, pixels, text = config.sampling, config.preprocess, config.text
    came_from = {
        name.replace("_", " "): str(config.provenance[name])
        for name in ("imported_from", "converted_from", "command")
        if name in config.provenance
    }
    return {
        "model": config.model_id,
        "network": f"{_network(config.encoder.network, config.encoder.tower)}, {weights:,} weights",
        "embedding": f"{config.encoder.dim} numbers",
        "video": f"{sampling.clips} x {sampling.frames_per_clip} frames, {sampling.spacing}",
        "pictures": f"short side {pixels.short_side} px, cut to {pixels.crop_side} px",
        "text model": text.model + (f" (sha256 {text.sha256[:12]})" if text.sha256 else ""),
        "templates": ", ".join(text.templates),
        "background bank": f"{bank:,} clips" if bank else "none: scores say which, not how sure",
        **came_from,
    }


def _network(name: str, tower: object) -> str:
    family = getattr(tower, "family", "")
    return f"{name} of {family}" if family else name


def _sizes(path: Path) -> tuple[int, int]:
    """How many weights and how many clips of background a file holds."""
    try:
        with safe_open(path, "pt") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    weights = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("network."))
    return weights, shapes.get("background_bank", [0])[0]
