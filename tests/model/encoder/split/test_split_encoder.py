"""A model's network runs in OpenVINO while its library processes the frames, or not at all."""

import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.encoder.encoder import ClipShape, Runtime
from model.encoder.networks import EncoderConfig, VideoTowerNetwork
from model.encoder.runtime import make_encoder
from model.encoder.runtime_measurement import fastest, measure_runtimes
from model.encoder.sentence_tower import SentenceTower, SentenceTowerConfig
from model.encoder.torch_encoder import TorchEncoder

pytest.importorskip("openvino", reason="needs the extra `openvino`")

CLIPS: ClipShape = (2, 3, 3, 8, 8)
OPENVINO = Runtime("openvino", "float32")


class Library(nn.Module):
    """What a SentenceTransformer of images offers: a mean of colours, and a linear layer."""

    prompts: ClassVar[dict[str, str]] = {}
    default_prompt_name = None
    truncate_dim = None

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 4)
        self.encoded = 0

    def preprocess(self, inputs: list[dict[str, Tensor]], **_: Any) -> dict[str, Any]:
        frames = torch.stack([each["image"] for each in inputs]).float()
        return {"pixel_values": frames / 255, "sizes": torch.tensor([[8, 8]] * len(inputs))}

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        height, width = features["sizes"][0].tolist()
        means = features["pixel_values"].sum(dim=(2, 3)) / (height * width)
        return {"sentence_embedding": self.layer(means)}

    def encode(self, inputs: list[dict[str, Tensor]], **_: Any) -> Tensor:
        self.encoded += 1
        with torch.no_grad():
            found: Tensor = self(self.preprocess(inputs))["sentence_embedding"]
            return found


class Branching(Library):
    """A model that looks at the numbers, which no graph can."""

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        found = super().forward(features)
        if features["pixel_values"].mean() > 0.5:
            found["sentence_embedding"] = found["sentence_embedding"] + 1
        return found


class Trimming(Library):
    """A processor that makes other sizes of dark frames."""

    def preprocess(self, inputs: list[dict[str, Tensor]], **_: Any) -> dict[str, Any]:
        found = super().preprocess(inputs)
        if found["pixel_values"].mean() < 0.25:
            found["sizes"] = found["sizes"] // 2
        return found


def reference_of(library: Library) -> TorchEncoder:
    tower = SentenceTowerConfig("sentence_transformers", "image", 1.0)
    network = VideoTowerNetwork(EncoderConfig("sentence_tower", 4, 0.0, tower=tower)).eval()
    assert isinstance(network.backbone, SentenceTower)
    network.backbone.use(library)
    return TorchEncoder(network, 4, shared=True)


def videos(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, *CLIPS), generator=generator).float()


def test_each_clip_has_the_mean_vector_of_its_images() -> None:
    reference = reference_of(Library())
    encoder = make_encoder(OPENVINO, reference)
    encoder.prepare(CLIPS)

    found = encoder.features(videos(2))

    assert (found.shape, encoder.is_prepared(CLIPS), encoder.mixes_frames) == (
        (2, 2, 4),
        True,
        False,
    )
    np.testing.assert_allclose(found, reference.features(videos(2)), atol=1e-5)


def test_graphs_are_kept_for_the_next_process(tmp_path: Path) -> None:
    reference = reference_of(Library())
    make_encoder(OPENVINO, reference, cache=tmp_path, revision="r").prepare(CLIPS)
    (kept,) = tmp_path.glob("r-*transformers*-features-2x3x3x8x8-f32-*.xml")
    changed = kept.stat().st_mtime_ns

    again = make_encoder(OPENVINO, reference, cache=tmp_path, revision="r")
    again.prepare(CLIPS)

    assert kept.stat().st_mtime_ns == changed
    np.testing.assert_allclose(again.encode(videos(1)), reference.encode(videos(1)), atol=1e-5)


def test_a_model_that_no_graph_can_repeat_stays_in_plain_torch() -> None:
    measured = list(measure_runtimes(reference_of(Branching()), ["openvino", "compile"], CLIPS))

    assert {each.runtime.name for each in measured if each.fault} == {"openvino", "compile"}
    assert "depends on the inputs" in measured[-1].fault
    assert fastest(measured).runtime.name == "eager"


def test_what_was_processed_otherwise_is_left_to_the_library() -> None:
    library = Trimming()
    reference = reference_of(library)
    encoder = make_encoder(OPENVINO, reference)
    encoder.prepare(CLIPS)  # with black frames
    dark, bright = videos(1) // 8, videos(1)
    expected = reference.encode(dark), reference.encode(bright)
    before = library.encoded

    np.testing.assert_allclose(encoder.encode(dark), expected[0], atol=1e-5)
    assert library.encoded == before
    np.testing.assert_allclose(encoder.encode(bright), expected[1], atol=1e-5)
    assert library.encoded == before + 1


def test_threads_encode_at_once() -> None:
    reference = reference_of(Library())
    encoder = make_encoder(OPENVINO, reference, threads=2)
    encoder.prepare(CLIPS)
    pixels, wrong = videos(4), []
    expected = reference.encode(pixels)

    def encode(row: int) -> None:
        for _ in range(5):
            if not np.allclose(encoder.encode(pixels[row : row + 1]), expected[row], atol=1e-5):
                wrong.append(row)

    threads = [threading.Thread(target=encode, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
