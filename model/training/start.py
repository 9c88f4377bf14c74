"""Where a run starts: what `--init` names, and what that brings along besides weights."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from model.checkpoint import read_config
from model.errors import CheckpointError
from model.text_source import CARRIED, TEXT_FOLDER
from model.training.config import TrainConfig
from model.training.image_text import folder_of, import_model, is_checkpoint

TORCHVISION = "R2Plus1D_18_Weights."
IMPORTED = "init"


def names_torchvision(init: str) -> bool:
    """Whether `init` names weights of torchvision's R(2+1)D-18, or a file of them."""
    return init.startswith(TORCHVISION) or Path(init).is_file()


def adopt(config: TrainConfig, out: Path) -> tuple[TrainConfig, str | None]:
    """The configuration as `config.init` needs it, and the text model that comes with that.

    A checkpoint brings its normalisation and the parts that its network has; an imported vision
    tower, which no preset knows, brings its sizes, pictures and templates too, and is not centred.
    An image-text model is imported into `out/init` first. Raises CheckpointError.
    """
    directory = _checkpoint_of(config.init, out)
    if directory is None:
        return config, None
    start = read_config(directory)
    pixels = start.preprocess
    text = str(directory / TEXT_FOLDER) if start.text.model == CARRIED else start.text.model
    config = replace(
        config,
        init=str(directory),
        shift_fraction=start.encoder.shift_fraction,
        word_head=start.encoder.vocabulary > 0,
        preprocess=replace(config.preprocess, mean=pixels.mean, std=pixels.std),
    )
    if start.encoder.tower is None:
        return config, text
    batch = replace(config.batch, short_side=pixels.short_side, side=pixels.crop_side)
    config = replace(
        config,
        network=start.encoder.network,
        tower=start.encoder.tower,
        preprocess=pixels,
        batch=batch,
        templates=start.text.templates,
        centred=False,
    )
    return config, text


def _checkpoint_of(init: str, out: Path) -> Path | None:
    """The checkpoint's directory; None where there are only weights, or none."""
    if init in ("scratch", "imagenet") or names_torchvision(init):
        return None
    if is_checkpoint(Path(init)):
        return Path(init)
    target = out / IMPORTED
    if is_checkpoint(target):
        found = read_config(target).provenance.get("imported_from")
        if found == init:
            return target
        raise CheckpointError(f"{target} was imported from {found}; choose another --out")
    # a checkpoint on the Hub, or an image-text model
    folder = folder_of(init)
    if is_checkpoint(folder):
        return folder
    return _import(init, target)


def _import(init: str, target: Path) -> Path:
    # several processes of one run do this at once, and one of them is first
    partial = target.with_name(f"{target.name}-{os.getpid()}")
    import_model(init, partial, command=f"kinolex checkpoint import {Path(init).name} --out init")
    try:
        partial.replace(target)
    except OSError:
        shutil.rmtree(partial)
    return target
