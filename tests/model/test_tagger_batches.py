"""What the tagger gives the encoder: clips in order, windows of one size together."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from model import (
    Encoder,
    FrameBatch,
    PreprocessConfig,
    Runtime,
    SamplingConfig,
    Tagger,
    TorchEncoder,
)
from tests.support.fakes import colour_tagger
from tests.support.networks import LITE, lively_network


class Recorder(Encoder):
    """Remembers the red value of every frame and how windows came."""

    dim = 1
    runtime = Runtime("eager", "float32")
    mixes_frames = True

    def __init__(self) -> None:
        self.seen: list[npt.NDArray[np.float32]] = []

    def features(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        self.seen.append(pixels[:, :, :, 0, 0, 0].numpy())
        return np.ones((*pixels.shape[:2], 1), np.float32)

    def embed(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return features


class FirstRed(Recorder):
    """Embeds a window as the red value of the first frame of its clips."""

    def features(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        super().features(pixels)
        return self.seen[-1][:, :, :1]


def recording(sampling: SamplingConfig) -> tuple[Tagger, Recorder]:
    encoder = Recorder()
    unscaled = PreprocessConfig(32, 32, 2.0, (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
    tagger = replace(colour_tagger(), encoder=encoder, sampling=sampling, preprocess=unscaled)
    return tagger, encoder


def numbered(count: int, first: int, size: tuple[int, int] = (32, 32)) -> FrameBatch:
    frames = np.empty((count, *size, 3), np.uint8)
    frames[:] = np.arange(first, first + count, dtype=np.uint8)[:, None, None, None]
    return FrameBatch(frames, np.arange(count, dtype=np.float64))


def test_frames_reach_the_encoder_as_clips_in_the_order_of_the_timestamps() -> None:
    tagger, encoder = recording(SamplingConfig(clips=2, frames_per_clip=3))

    tagger.embed_frames([numbered(6, 0), numbered(6, 10)])

    [seen] = encoder.seen
    np.testing.assert_allclose(
        seen, [[[0, 1, 2], [3, 4, 5]], [[10, 11, 12], [13, 14, 15]]], atol=1e-3
    )


def test_windows_of_one_size_are_encoded_together() -> None:
    tagger, encoder = recording(SamplingConfig(clips=1, frames_per_clip=2))

    tagger.embed_frames([numbered(2, 0), numbered(2, 10, size=(32, 64)), numbered(2, 20)])

    assert [len(seen) for seen in encoder.seen] == [2, 1]


def test_sizes_that_are_cut_to_one_are_encoded_together_and_answered_in_order() -> None:
    tagger, _ = recording(SamplingConfig(clips=1, frames_per_clip=2))
    encoder = FirstRed()
    tagger = replace(tagger, encoder=encoder)
    widths = [64, 70, 64, 70]

    found = tagger.embed_frames(
        [numbered(2, 10 * number, size=(32, width)) for number, width in enumerate(widths)]
    )

    np.testing.assert_allclose(found[:, 0], [0, 10, 20, 30], atol=1e-3)
    assert [len(seen) for seen in encoder.seen] == [4]


@pytest.mark.cuda
def test_windows_of_several_sizes_embed_on_a_gpu_as_on_the_cpu() -> None:
    random = np.random.default_rng(0)
    tagger = replace(colour_tagger(), encoder=TorchEncoder(lively_network(), LITE.dim))
    count = tagger.sampling.clips * tagger.sampling.frames_per_clip
    batches = [
        FrameBatch(random.integers(0, 256, (count, *size, 3), np.uint8), np.arange(float(count)))
        for size in [(32, 32), (32, 56), (40, 60), (32, 32)]
    ]

    on_gpu = TorchEncoder(lively_network(), LITE.dim, device="cuda")
    found = replace(tagger, encoder=on_gpu, device="cuda").embed_frames(batches)

    assert (found * tagger.embed_frames(batches)).sum(axis=1).min() >= 0.999


@pytest.mark.parametrize("count", [5, 7])
def test_a_window_with_another_number_of_frames_is_refused(count: int) -> None:
    tagger, _ = recording(SamplingConfig(clips=2, frames_per_clip=3))
    with pytest.raises(ValueError, match=f"{count} frames, expected 2 x 3"):
        tagger.embed_frames([numbered(count, 0)])
