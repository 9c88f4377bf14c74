"""Networks embed clips as unit vectors, and the served copy computes what the trained one does."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from model.encoder.networks import EncoderConfig, SemanticHead, WordHead, video_features
from model.encoder.torch_encoder import TorchEncoder, fold_batch_norm
from tests.support.networks import LITE, lively_network

PAPER = EncoderConfig("r2plus1d_18", dim=8)
WORDS = EncoderConfig("efficientnet_lite0", dim=8, vocabulary=5)


def clips(videos: int = 2, clips: int = 2, frames: int = 4, side: int = 48) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(videos, clips, frames, 3, side, side, generator=generator)


@pytest.fixture(scope="module")
def lite() -> TorchEncoder:
    return TorchEncoder(lively_network(LITE), LITE.dim)


@pytest.mark.parametrize("config", [LITE, WORDS, PAPER], ids=["lite", "lite with words", "paper"])
def test_every_network_embeds_videos_as_unit_rows(config: EncoderConfig) -> None:
    encoder = TorchEncoder(lively_network(config), config.dim)

    embeddings = encoder.encode(clips(side=32))

    assert encoder.dim == 8
    assert embeddings.shape == (2, 8)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1.0, atol=1e-6)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-3


@pytest.mark.parametrize("config", [LITE, WORDS, PAPER], ids=["lite", "lite with words", "paper"])
def test_folding_batch_norm_changes_no_embedding(config: EncoderConfig) -> None:
    network = lively_network(config)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    pixels = clips(side=32)

    found = TorchEncoder(network, config.dim).encode(pixels)

    assert network.training
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    with torch.inference_mode():
        expected = network.eval()(pixels).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_no_batch_norm_is_left_in_the_served_network() -> None:
    folded = fold_batch_norm(lively_network(LITE))
    assert not folded.training
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


def test_clips_are_averaged_before_the_head(lite: TorchEncoder) -> None:
    pixels = clips(videos=1, clips=3)
    network = lite.network
    with torch.inference_mode():
        each = torch.cat([network.features(pixels[:, clip]) for clip in range(3)])
        torch.testing.assert_close(
            video_features(network, pixels), each.mean(0, keepdim=True), rtol=1e-4, atol=1e-5
        )
        expected = network.head(each.mean(0, keepdim=True)).numpy()
    np.testing.assert_allclose(lite.encode(pixels), expected, atol=1e-5)


def test_videos_of_a_batch_do_not_see_each_other(lite: TorchEncoder) -> None:
    pixels = clips(videos=3)
    alone = np.concatenate([lite.encode(video[None]) for video in pixels])
    np.testing.assert_allclose(lite.encode(pixels), alone, atol=1e-5)


def test_a_still_clip_is_its_single_picture(lite: TorchEncoder) -> None:
    picture = clips(videos=1, clips=1, frames=1)
    still = picture.expand(-1, 2, 8, -1, -1, -1)
    np.testing.assert_allclose(lite.encode(still), lite.encode(picture), atol=1e-6)


def test_the_order_of_frames_counts_and_that_of_clips_does_not(lite: TorchEncoder) -> None:
    pixels = clips(videos=1)
    embedding = lite.encode(pixels)
    np.testing.assert_allclose(lite.encode(pixels.flip(1)), embedding, atol=1e-5)
    assert np.abs(lite.encode(pixels.flip(2)) - embedding).max() > 1e-3


def test_frames_are_clips_of_a_network_that_does_not_mix_them(lite: TorchEncoder) -> None:
    alone = TorchEncoder(lively_network(replace(LITE, shift_fraction=0.0)), LITE.dim)
    pixels = clips()
    each = pixels.flatten(1, 2).unsqueeze(2)

    assert (alone.mixes_frames, lite.mixes_frames) == (False, True)
    np.testing.assert_allclose(alone.encode(each), alone.encode(pixels), atol=1e-5)
    assert np.abs(lite.encode(each) - lite.encode(pixels)).max() > 1e-3


def test_every_convolution_sees_its_pixels_channels_last() -> None:
    """Other layouts are converted before and after each convolution: a fifth of the CPU time."""
    network = lively_network(LITE)
    lost: list[str] = []

    def look(name: str, _: nn.Module, given: tuple[torch.Tensor], out: torch.Tensor) -> None:
        for tensor in (given[0], out):
            if not tensor.is_contiguous(memory_format=torch.channels_last):
                lost.append(name)

    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(partial(look, name))
    with torch.inference_mode():
        network.eval()(clips(side=64))
    assert lost == []


def test_half_precision_stays_close_and_of_unit_length() -> None:
    network = lively_network(LITE)
    exact = TorchEncoder(network, LITE.dim).encode(clips())
    half = TorchEncoder(network, LITE.dim, dtype=torch.bfloat16).encode(clips())

    assert half.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1.0, atol=1e-6)
    assert (exact * half).sum(axis=1).min() > 0.99


def test_the_word_head_weighs_words_by_a_softmax() -> None:
    head = WordHead(features=2, vocabulary=2, dim=3)
    head.words.copy_(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    with torch.no_grad():
        head.classifier.weight.copy_(torch.eye(2))
        head.classifier.bias.zero_()
        found = head(torch.tensor([[np.log(3.0), 0.0]], dtype=torch.float32))
    # weights 3/4 and 1/4, scaled to unit length
    torch.testing.assert_close(found, torch.tensor([[3.0, 1.0, 0.0]]) / 10**0.5)


def test_the_head_adds_the_word_heads_direction_by_its_mix() -> None:
    head = SemanticHead(2, EncoderConfig("efficientnet_lite0", dim=3, vocabulary=1))
    assert head.word_head is not None
    head.word_head.words.copy_(torch.tensor([[0.0, 0.0, 5.0]]))
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]]))
        head.linear.bias.zero_()
        head.mix.fill_(0.75)
        found = head(torch.tensor([[1.0, 0.0]]))
    # (1, 0, 0) + 0.75 * (0, 0, 1), scaled to unit length
    torch.testing.assert_close(found, torch.tensor([[0.8, 0.0, 0.6]]))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"network": "efficientnet_lite9"}, "efficientnet_lite9"),
        ({"dim": 0}, "dim must be at least 1, not 0"),
        ({"vocabulary": -1}, "vocabulary must be at least 0, not -1"),
        ({"shift_fraction": 0.6}, "0.6"),
        ({"shift_fraction": float("nan")}, "nan"),
    ],
)
def test_an_impossible_network_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(EncoderConfig("efficientnet_lite0", dim=8), **wrong)


@pytest.mark.cuda
@pytest.mark.parametrize("config", [LITE, PAPER], ids=["lite", "paper"])
def test_the_gpu_computes_the_same_embeddings_as_the_cpu(config: EncoderConfig) -> None:
    network = lively_network(config)
    expected = TorchEncoder(network, config.dim).encode(clips())
    found = TorchEncoder(network, config.dim, device="cuda").encode(clips())
    np.testing.assert_allclose(found, expected, atol=2e-3)
