"""EfficientNet-Lite (Tan & Le, ICML 2019; Lite: TensorFlow TPU models, 2020) with temporal shift.

Lite variants have no squeeze-and-excitation and use ReLU6, which makes them fast on plain CPUs.
Padding is TensorFlow's "SAME" and batch norm's epsilon 1e-3, as in the training of the ImageNet
weights that training starts from.
"""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class _Stage:
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


# EfficientNet-B0's table (ICML 2019, Table 1); width and depth multipliers stretch it.
_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_MULTIPLIERS = {"lite0": (1.0, 1.0), "lite2": (1.1, 1.2)}  # (width, depth)
_STEM_CHANNELS = 32  # Lite keeps stem and head unscaled
_FEATURES = 1280
_EPSILON = 1e-3


def _round_channels(channels: int, width: float) -> int:
    """Round to a multiple of 8 that is not more than 10 % below (MobileNetV3's rule)."""
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: the odd pixel goes to the right and bottom."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        pads = []
        for length in (pixels.shape[-1], pixels.shape[-2]):
            total = max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
            pads += [total // 2, total - total // 2]
        if pads[0] == pads[1] == pads[2] == pads[3]:
            return functional.conv2d(
                pixels, self.weight, self.bias, self.stride, pads[0], self.dilation, self.groups
            )
        return super().forward(functional.pad(pixels, pads))


def shift_in_time(features: Tensor, frames_per_clip: int, fraction: float) -> Tensor:
    """Move `fraction` of the channels one frame forward and as many one back (TSM, ICCV 2019).

    The shape (M * T, C, H, W) stays. At the ends of a clip the frame's own channels are kept, where
    TSM has zeros, so that a clip of identical frames has exactly the features of one frame: images
    are then valid training clips at a fraction of the cost.
    """
    fold = int(features.shape[1] * fraction)
    if frames_per_clip == 1 or fold == 0:
        return features
    # Written in place, because torch.cat would not keep the memory format.
    shifted = features.clone()
    before, after = (x.view(-1, frames_per_clip, *x.shape[1:]) for x in (features, shifted))
    after[:, 1:, :fold] = before[:, :-1, :fold]
    after[:, :-1, fold : 2 * fold] = before[:, 1:, fold : 2 * fold]
    return shifted


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    return SameConv2d(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expand, filter each channel, project. Residual blocks shift in time."""

    def __init__(self, inputs: int, stage: _Stage, stride: int, outputs: int) -> None:
        super().__init__()
        hidden = inputs * stage.expansion
        layers: list[nn.Module] = []
        if stage.expansion != 1:
            layers += [
                _convolution(inputs, hidden, 1),
                nn.BatchNorm2d(hidden, _EPSILON),
                nn.ReLU6(),
            ]
        layers += [
            _convolution(hidden, hidden, stage.kernel, stride, groups=hidden),
            nn.BatchNorm2d(hidden, _EPSILON),
            nn.ReLU6(),
            _convolution(hidden, outputs, 1),
            nn.BatchNorm2d(outputs, _EPSILON),
        ]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, features: Tensor, frames_per_clip: int, shift_fraction: float) -> Tensor:
        """Map (M * T, C, H, W) to (M * T, C', H', W')."""
        if not self.residual:
            return self.layers(features)  # type: ignore[no-any-return]  # nn.Module call
        shifted = shift_in_time(features, frames_per_clip, shift_fraction)
        return features + self.layers(shifted)  # type: ignore[no-any-return]  # nn.Module call


class EfficientNetLite(nn.Module):
    """Maps frames to globally pooled features; `features` is their length (1280)."""

    features: int = _FEATURES

    def __init__(self, variant: Literal["lite0", "lite2"], *, shift_fraction: float) -> None:
        super().__init__()
        width, depth = _MULTIPLIERS[variant]
        self.shift_fraction = shift_fraction
        self.stem = nn.Sequential(
            _convolution(3, _STEM_CHANNELS, 3, 2),
            nn.BatchNorm2d(_STEM_CHANNELS, _EPSILON),
            nn.ReLU6(),
        )
        blocks: list[InvertedResidual] = []
        channels = _STEM_CHANNELS
        for position, stage in enumerate(_STAGES):
            outputs = _round_channels(stage.channels, width)
            scaled = position not in (0, len(_STAGES) - 1)  # Lite keeps the ends' depth
            for repeat in range(math.ceil(stage.repeats * depth) if scaled else stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(InvertedResidual(channels, stage, stride, outputs))
                channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.tail = nn.Sequential(
            _convolution(channels, _FEATURES, 1), nn.BatchNorm2d(_FEATURES, _EPSILON), nn.ReLU6()
        )

    def forward(self, frames: Tensor, frames_per_clip: int) -> Tensor:
        """Map (M * T, 3, H, W), the frames of M clips in order, to (M * T, 1280)."""
        hidden = self.stem(frames)
        for block in self.blocks:
            hidden = block(hidden, frames_per_clip, self.shift_fraction)
        return self.tail(hidden).mean(dim=(-2, -1))  # type: ignore[no-any-return]  # nn.Module call
