"""A summary of a checkpoint in a few lines, for `kinolex checkpoint show`."""

import math
from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open

from model.checkpoint import find_checkpoint, read_config
from model.encoder.preprocess import PreprocessConfig
from model.encoder.sentence_tower import SentenceTowerConfig
from model.errors import CheckpointError


def summary_of(name_or_path: str) -> Mapping[str, str]:
    """Summarise a checkpoint, by directory or Hub id; of the weights only the header is read.

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
        "pictures": f"short side {pixels.short_side} px, {_cut(pixels)}",
        "text model": text.model + (f" (sha256 {text.sha256[:12]})" if text.sha256 else ""),
        "templates": ", ".join(text.templates),
        "background bank": f"{bank:,} clips" if bank else "none",
        "scores": config.calibration.fitted_on
        or ("fitted" if bank else "not fitted: they rank labels, they are no probabilities"),
        **came_from,
    }


def _cut(pixels: PreprocessConfig) -> str:
    if pixels.whole:
        return "whole"
    return f"{'squashed' if pixels.squash else 'cut'} to {pixels.crop_side} px"


def _network(name: str, tower: object) -> str:
    if isinstance(tower, SentenceTowerConfig):
        return f"{name} that the text model runs as {tower.modality}s"
    family = getattr(tower, "family", "")
    return f"{name} of {family}" if family else name


def _sizes(path: Path) -> tuple[int, int]:
    """Count the weights and the clips of the background bank in a file."""
    try:
        with safe_open(path, "pt") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118  # not a mapping
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    weights = sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("network."))
    return weights, shapes.get("background_bank", [0])[0]
