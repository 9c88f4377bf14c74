"""Preprocessing: frames to the pixels that the network was trained on."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.encoder.preprocess import PreprocessConfig, crop_size, preprocess


def config(
    short_side: int = 32,
    crop_side: int = 32,
    max_aspect_ratio: float = 1.0,
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
    std: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> PreprocessConfig:
    return PreprocessConfig(short_side, crop_side, max_aspect_ratio, mean, std)


def noise(*shape: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_bytes_become_hand_computed_values_in_rgb_order() -> None:
    frames = np.zeros((1, 32, 32, 3), np.uint8)
    frames[..., 0], frames[..., 1], frames[..., 2] = 255, 51, 0

    pixels = preprocess([frames], config(mean=(0.5, 0.1, 0.25), std=(0.5, 0.2, 0.5)))

    # (1 - 0.5) / 0.5, (0.2 - 0.1) / 0.2, (0 - 0.25) / 0.5
    assert pixels.dtype == torch.float32
    for channel, value in enumerate([1.0, 0.5, -0.5]):
        torch.testing.assert_close(pixels[0, channel], torch.full((32, 32), value))


@pytest.mark.parametrize(
    ("height", "width", "aspect", "expected"),
    [
        (160, 284, 1.0, (160, 160)),
        (160, 284, 16 / 9, (160, 256)),  # 284 allowed, in whole steps of 32
        (284, 160, 16 / 9, (256, 160)),
        (160, 640, 16 / 9, (160, 256)),
        (160, 640, 2.0, (160, 320)),
        (160, 200, 16 / 9, (160, 192)),
        (160, 170, 16 / 9, (160, 160)),
        (160, 160, 16 / 9, (160, 160)),
    ],
)
def test_size_of_the_crop(
    height: int, width: int, aspect: float, expected: tuple[int, int]
) -> None:
    cropping = config(160, 160, aspect)
    assert crop_size(height, width, cropping) == expected
    assert preprocess([noise(2, height, width, 3)], cropping).shape == (2, 3, *expected)


def test_a_square_crop_need_not_be_a_multiple_of_32() -> None:
    assert crop_size(128, 227, config(128, 112)) == (112, 112)


@pytest.mark.parametrize(("height", "width", "top", "left"), [(36, 44, 2, 6), (45, 37, 6, 2)])
def test_the_crop_is_the_middle(height: int, width: int, top: int, left: int) -> None:
    frames = noise(1, height, width, 3)

    pixels = preprocess([frames], config(min(height, width), 32))

    expected = frames[0, top : top + 32, left : left + 32].transpose(2, 0, 1) / np.float32(255)
    np.testing.assert_allclose(pixels[0].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(64, 64), (17, 31), (31, 17), (7, 200), (1, 1), (96, 33)])
def test_a_picture_of_another_size_is_resized_before_it_is_cropped(size: tuple[int, int]) -> None:
    cropping = config(max_aspect_ratio=2.0)
    frames = np.full((1, *size, 3), 51, np.uint8)

    pixels = preprocess([frames], cropping)

    height, width = pixels.shape[-2:]
    assert min(height, width) == 32
    assert max(height, width) <= 64
    assert (width > height) == (size[1] >= 2 * size[0])
    torch.testing.assert_close(pixels, torch.full_like(pixels, 0.2))


def test_resizing_averages_what_it_leaves_out() -> None:
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, ::2] = 200

    pixels = preprocess([stripes], config())

    np.testing.assert_allclose(pixels[..., 1:-1].numpy() * 255, 100, atol=4)


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    aspect=st.floats(1.0, 4.0),
    sides=st.tuples(st.integers(1, 70), st.integers(1, 70)).map(sorted),
)
def test_every_frame_size_is_cropped_to_the_documented_size(
    height: int, width: int, aspect: float, sides: list[int]
) -> None:
    crop_side, short_side = sides
    pixels = preprocess([noise(1, height, width, 3)], config(short_side, crop_side, aspect))

    short, long = sorted(pixels.shape[-2:])
    assert short == crop_side
    assert long <= max(crop_side, crop_side * aspect + 0.5)
    assert long == crop_side or long % 32 == 0
    assert 0.0 <= float(pixels.min()) <= float(pixels.max()) <= 1.0 + 1e-6


def test_pixels_are_channels_last() -> None:
    pixels = preprocess([noise(2, 40, 72, 3)], config(40, 32, 2.0))
    assert pixels.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(32, 32), (48, 96), (90, 40), (20, 30)])
def test_a_squashed_frame_is_all_seen_whatever_its_aspect_ratio(size: tuple[int, int]) -> None:
    frames = noise(2, *size, 3)
    squashed = preprocess([frames], replace(config(), squash=True))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(frames).permute(0, 3, 1, 2).float(),
        (32, 32),
        mode="bilinear",
        antialias=True,
    )
    torch.testing.assert_close(squashed, expected / 255, atol=1e-5, rtol=0)
    assert crop_size(*size, replace(config(), squash=True)) == (32, 32)


def test_read_only_frames_are_accepted() -> None:
    frames = noise(2, 32, 48, 3)
    frames.flags.writeable = False
    assert preprocess([frames], config()).shape == (2, 3, 32, 32)


def test_a_batch_of_videos_gives_the_same_pixels_as_each_video_alone() -> None:
    videos = [noise(count, 40, 72, 3) for count in (2, 1, 3)]
    videos[1].flags.writeable = False
    cropping = config(32, 32, 2.0, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))

    together = preprocess(videos, cropping)

    assert together.is_contiguous(memory_format=torch.channels_last)
    alone = torch.cat([preprocess([video], cropping) for video in videos])
    torch.testing.assert_close(together, alone, rtol=0, atol=0)


def test_videos_of_several_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="must match exactly"):
        preprocess([noise(1, 32, 48, 3), noise(1, 48, 32, 3)], config())


def test_frames_are_not_changed() -> None:
    frames = noise(2, 32, 48, 3)
    before = frames.copy()
    preprocess([frames], config(mean=(0.5, 0.5, 0.5)))
    np.testing.assert_array_equal(frames, before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_side": 0},
        {"crop_side": 33},
        {"max_aspect_ratio": 0.5},
        {"max_aspect_ratio": float("inf")},
        {"std": (1.0, 0.0, 1.0)},
        {"mean": (0.0, float("nan"), 0.0)},
    ],
)
def test_an_impossible_config_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        config(**wrong)


@pytest.mark.cuda
@pytest.mark.parametrize("videos", [1, 3])
def test_the_gpu_computes_the_same_pixels_as_the_cpu(videos: int) -> None:
    frames = [noise(2, 50, 80, 3) for _ in range(videos)]
    pixels = preprocess(frames, config(max_aspect_ratio=2.0), device="cuda")
    assert pixels.device.type == "cuda"
    torch.testing.assert_close(
        pixels.cpu(), preprocess(frames, config(max_aspect_ratio=2.0)), rtol=1e-4, atol=1e-4
    )
