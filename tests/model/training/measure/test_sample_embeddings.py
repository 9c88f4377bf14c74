"""Embeddings of samples are those of the serving path."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from model import (
    EncoderConfig,
    PreprocessConfig,
    SamplingConfig,
    TorchEncoder,
    VideoError,
)
from model.encoder.networks import build_network
from model.training.data.manifest import Sample
from model.training.measure.sample_embeddings import embed_readable, embed_samples
from tests.support.clips import COLOURS, write_clip
from tests.support.fakes import ColourEncoder, colour_tagger


def picture_sample(folder: Path, colour: str) -> Sample:
    path = folder / f"{colour}.png"
    Image.new("RGB", (48, 40), COLOURS[colour]).save(path)
    return Sample(path, "", colour, (), "pictures", "test")


def video_sample(folder: Path, *colours: str) -> Sample:
    path = folder / f"{'-'.join(colours)}.mp4"
    write_clip(path, seconds_colours=colours)
    return Sample(path, "", colours[0], (), "videos", "test")


def test_videos_and_pictures_keep_their_order(tmp_path: Path) -> None:
    samples = [
        video_sample(tmp_path, "green"),
        picture_sample(tmp_path, "red"),
        video_sample(tmp_path, "blue"),
    ]
    vectors = embed_samples(colour_tagger(), samples)
    assert vectors.dtype == np.float32
    assert vectors.argmax(axis=1).tolist() == [1, 0, 2]


def test_a_video_embeds_as_the_tagger_embeds_it(tmp_path: Path) -> None:
    sample = video_sample(tmp_path, "red", "green", "blue")
    tagger = colour_tagger()
    _, expected = tagger.embed(io.BytesIO(sample.path.read_bytes()))
    np.testing.assert_array_equal(embed_samples(tagger, [sample])[0], expected)


def test_only_the_labelled_span_is_decoded(tmp_path: Path) -> None:
    sample = video_sample(tmp_path, "red", "green", "blue")
    spanned = replace(sample, start_seconds=1.2, end_seconds=1.8)
    assert embed_samples(colour_tagger(), [spanned])[0].argmax() == 1


def test_more_clips_encode_more_frames(tmp_path: Path) -> None:
    shapes: list[tuple[int, ...]] = []

    class ShapeRecorder(ColourEncoder):
        def features(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
            shapes.append(tuple(pixels.shape[1:3]))
            return super().features(pixels)

    embed_samples(colour_tagger(encoder=ShapeRecorder()), [video_sample(tmp_path, "red")], clips=25)
    assert shapes == [(100, 1)]


def test_a_still_clip_embeds_as_its_picture(tmp_path: Path) -> None:
    """The shortcut for pictures must not change what is measured."""
    torch.manual_seed(0)
    network = build_network(EncoderConfig("efficientnet_lite0", dim=3)).eval()

    class Wrapped(ColourEncoder):
        """The same network as an encoder for which there is no shortcut."""

        mixes_frames = True

        def features(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
            assert pixels.shape[2] == 4
            return TorchEncoder(network, 3).features(pixels)

        def embed(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return TorchEncoder(network, 3).embed(features)

    tagger = replace(
        colour_tagger(),
        encoder=TorchEncoder(network, 3),
        preprocess=PreprocessConfig(32, 32, 1.0, (0.5,) * 3, (0.5,) * 3),
        sampling=SamplingConfig(clips=1, frames_per_clip=4),
    )
    samples = [picture_sample(tmp_path, colour) for colour in ("red", "green")]
    np.testing.assert_allclose(
        embed_samples(tagger, samples),
        embed_samples(replace(tagger, encoder=Wrapped()), samples),
        atol=1e-5,
    )


def test_broken_files_are_listed_and_left_out(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    samples = [Sample(broken, "", "red", (), "", ""), picture_sample(tmp_path, "green")]
    embedded = embed_readable(colour_tagger(), samples)
    assert embedded.samples == (samples[1],)
    assert embedded.vectors.argmax(axis=1).tolist() == [1]
    assert [(b.sample.path, "not a picture" in b.reason) for b in embedded.broken] == [
        (broken, True)
    ]
    with pytest.raises(VideoError, match=r"broken\.png"):
        embed_samples(colour_tagger(), samples)


def test_progress_ends_at_the_total(tmp_path: Path) -> None:
    reported: list[tuple[int, int]] = []
    samples = [picture_sample(tmp_path, colour) for colour in COLOURS]
    embed_samples(colour_tagger(), samples, lambda *state: reported.append(state))
    assert reported[-1] == (len(samples), len(samples))


def test_no_samples_give_no_rows() -> None:
    assert embed_samples(colour_tagger(), []).shape == (0, 3)
