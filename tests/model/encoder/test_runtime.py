"""Runtimes of the encoder: measured, refused where they are wrong, switched while in use."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
import torch

from model.encoder.compiled_encoder import CompiledEncoder, can_compile
from model.encoder.encoder import ClipShape, Encoder, Runtime, ShapedEncoder
from model.encoder.networks import EncoderConfig, Network
from model.encoder.rounding import round_filters
from model.encoder.runtime import RuntimeEncoder, installed_runtimes, make_encoder
from model.encoder.runtime_measurement import (
    PARITY,
    Measured,
    fastest,
    fastest_on_gpu,
    measure_runtimes,
    min_cosine,
    probe_pixels,
)
from model.encoder.torch_encoder import TorchEncoder
from tests.support.fakes import colour_tagger
from tests.support.networks import LITE, lively_network
from tests.support.paths import ROOT
from tests.support.runtime_parity import inductor_environment

CLIPS: ClipShape = (1, 4, 3, 32, 32)
PAPER = EncoderConfig("r2plus1d_18", dim=8)


@pytest.fixture(scope="module")
def reference() -> TorchEncoder:
    return TorchEncoder(lively_network(LITE), LITE.dim)


def cosines(
    found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    products: npt.NDArray[np.float32] = (found * expected).sum(axis=1)
    return products


class SmallNetwork(torch.nn.Module):
    """A network of one convolution, for tests of what runs it."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.Conv2d(3, 8, 3)
        self.head = torch.nn.Linear(8, 8)
        self.mixes_frames = False

    def features(self, clips: torch.Tensor) -> torch.Tensor:
        """(M, T, 3, H, W) to (M, 8)."""
        frames: torch.Tensor = self.backbone(clips.flatten(0, 1)).mean(dim=(-2, -1))
        return frames.reshape(*clips.shape[:2], 8).mean(dim=1)


def small_reference() -> TorchEncoder:
    torch.manual_seed(0)
    return TorchEncoder(cast(Network, SmallNetwork()), 8)


class WaitingEncoder(Encoder):
    """A runtime whose preparation waits for `may_prepare`; all features are 1."""

    runtime = Runtime("openvino", "float32")
    dim = 8
    mixes_frames = True

    def __init__(self) -> None:
        self.may_prepare = threading.Event()
        self.has_prepared = threading.Event()
        self.prepared: list[ClipShape] = []

    def is_prepared(self, clips: ClipShape) -> bool:
        return clips in self.prepared

    def prepare(self, clips: ClipShape) -> None:
        assert self.may_prepare.wait(60)
        self.prepared.append(clips)
        self.has_prepared.set()

    def features(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        return np.ones((*pixels.shape[:2], 8), np.float32)

    def embed(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return features


def in_own_process(check: str, folder: Path) -> None:
    """Run a function of this file in a process of its own, so that a runtime's threads end."""
    program = "import sys, pathlib, tests.model.encoder.test_runtime as file; "
    program += "getattr(file, sys.argv[1])(pathlib.Path(sys.argv[2]))"
    outcome = subprocess.run(
        [sys.executable, "-c", program, check, str(folder)],
        cwd=ROOT,
        env={**os.environ, **inductor_environment(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.slow
def test_openvino_gives_what_torch_gives(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra `openvino`")
    in_own_process("compare_openvino", tmp_path)


@pytest.mark.slow
def test_openvino_encodes_for_several_threads_at_once(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra `openvino`")
    in_own_process("encode_from_threads", tmp_path)


def compare_openvino(tmp_path: Path) -> None:
    reference = TorchEncoder(lively_network(LITE), LITE.dim)
    pixels = probe_pixels(CLIPS)
    runtime = Runtime("openvino", "float32")

    encoder = make_encoder(runtime, reference, cache=tmp_path, revision="r")
    assert not encoder.is_prepared(CLIPS)
    encoder.prepare(CLIPS)

    assert (encoder.is_prepared(CLIPS), encoder.dim, encoder.runtime) == (True, 8, runtime)
    assert cosines(encoder.encode(pixels), reference.encode(pixels)).min() > 0.99999
    # The converted graph is kept for the next process.
    (kept,) = tmp_path.glob("r-features-1x4x3x32x32-*.xml")
    changed = kept.stat().st_mtime_ns
    again = make_encoder(runtime, reference, cache=tmp_path, revision="r")
    again.prepare(CLIPS)
    assert kept.stat().st_mtime_ns == changed
    np.testing.assert_allclose(again.encode(pixels), encoder.encode(pixels), atol=1e-6)


def encode_from_threads(_: Path) -> None:
    reference = small_reference()
    encoder = make_encoder(Runtime("openvino", "float32"), reference, threads=2)
    encoder.prepare(CLIPS)
    pixels = probe_pixels(CLIPS)
    expected = reference.encode(pixels)
    wrong: list[int] = []

    def encode(row: int) -> None:
        for _ in range(5):
            found = encoder.encode(pixels[row : row + 1])
            if cosines(found, expected[row : row + 1]).min() < 0.9999:
                wrong.append(row)

    threads = [threading.Thread(target=encode, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def compare_compiled(_: Path) -> None:
    reference = small_reference()
    encoder = CompiledEncoder(reference.network, 8)
    encoder.prepare(CLIPS)
    pixels = probe_pixels(CLIPS)

    assert encoder.is_prepared(CLIPS)
    assert cosines(encoder.encode(pixels), reference.encode(pixels)).min() > 0.99999


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="needs a C++ compiler")
def test_torch_compile_gives_what_torch_gives(tmp_path: Path) -> None:
    in_own_process("compare_compiled", tmp_path)
    assert any(tmp_path.iterdir())


def test_filters_that_cancel_still_cancel_in_16_bits() -> None:
    """Edge filters sum to nearly zero, also after rounding."""
    convolution = torch.nn.Conv2d(8, 8, 3, groups=8, bias=False)
    taps = torch.randn(8, 1, 3, 3, generator=torch.Generator().manual_seed(0)) * 10
    weight = taps - taps.mean(dim=(2, 3), keepdim=True)
    convolution.weight.data = weight
    naive = convolution.weight.data.bfloat16().float().sum(dim=(2, 3)).abs()

    round_filters(convolution, torch.bfloat16)

    rounded = convolution.weight.data
    assert torch.equal(rounded, rounded.bfloat16().float())
    assert rounded.sum(dim=(2, 3)).abs().max() < naive.max() / 4
    assert (rounded - weight).abs().max() < 1.0


def test_16_bits_keep_within_parity_what_probes_show(reference: TorchEncoder) -> None:
    half = TorchEncoder(reference.network, 8, dtype=torch.bfloat16)
    pixels = probe_pixels((1, 4, 3, 64, 64))
    assert cosines(half.encode(pixels), reference.encode(pixels)).min() >= PARITY


def test_probes_are_always_the_same_and_within_the_pixels_range() -> None:
    probes = probe_pixels((2, 4, 3, 32, 64))
    assert probes.shape == (4, 2, 4, 3, 32, 64)
    assert torch.equal(probes, probe_pixels((2, 4, 3, 32, 64)))
    assert probes.abs().max() <= 1.0
    assert probes[0, 0].is_contiguous(memory_format=torch.channels_last)


def test_a_runtime_that_leaves_the_reference_is_refused(reference: TorchEncoder) -> None:
    def make(_: Runtime, __: TorchEncoder) -> ShapedEncoder:
        wrong = WaitingEncoder()
        wrong.may_prepare.set()
        return wrong

    measured = list(measure_runtimes(reference, ["openvino"], CLIPS, make))

    assert measured[0].runtime == Runtime("eager", "float32")
    assert all(not each.is_right for each in measured[1:])
    assert fastest(measured) == measured[0]


def test_a_runtime_that_breaks_does_not_stop_the_others(reference: TorchEncoder) -> None:
    def make(runtime: Runtime, encoder: TorchEncoder) -> ShapedEncoder:
        if runtime.name == "openvino":
            raise RuntimeError("no such plugin")
        return make_encoder(runtime, encoder)

    measured = list(measure_runtimes(reference, ["openvino", "eager"], CLIPS, make))

    assert [each.fault for each in measured if each.runtime.name == "openvino"][-1] == (
        "RuntimeError: no such plugin"
    )
    assert fastest(measured).runtime.name == "eager"


def test_embeddings_that_are_not_finite_agree_with_none() -> None:
    right = np.eye(2, dtype=np.float32)
    overflown = np.array([[1.0, 0.0], [np.nan, np.inf]], np.float32)
    assert min_cosine(right, right) == 1.0
    assert min_cosine(overflown, right) < PARITY


def test_the_fastest_of_the_right_ones_is_chosen() -> None:
    slow = Measured(Runtime("eager", "float32"), 100.0, 1.0)
    quick = Measured(Runtime("openvino", "bfloat16"), 30.0, 0.9995)
    wrong = Measured(Runtime("compile", "bfloat16"), 10.0, 0.998)
    assert fastest([slow, quick, wrong]) == quick
    with pytest.raises(ValueError, match="no runtime"):
        fastest([wrong])


def test_torch_answers_until_the_faster_runtime_is_ready(reference: TorchEncoder) -> None:
    encoder = RuntimeEncoder(reference)
    pixels = probe_pixels(CLIPS)
    expected = reference.features(pixels)
    fast = WaitingEncoder()
    encoder.switch_to(fast)

    np.testing.assert_array_equal(encoder.features(pixels), expected)
    fast.may_prepare.set()
    assert fast.has_prepared.wait(60)
    assert fast.prepared == [CLIPS]
    np.testing.assert_array_equal(encoder.features(pixels), fast.features(pixels))
    assert encoder.runtime == fast.runtime


def test_runtimes_prepare_for_a_widescreen_clip() -> None:
    assert colour_tagger().widescreen_shape == (4, 1, 3, 32, 32)


def test_eager_is_always_installed() -> None:
    assert installed_runtimes()[0] == "eager"


@pytest.mark.cuda
@pytest.mark.parametrize("config", [LITE, PAPER], ids=[LITE.network, PAPER.network])
def test_the_gpu_in_16_bits_stays_within_parity_of_the_cpu(config: EncoderConfig) -> None:
    network = lively_network(config)
    pixels = probe_pixels((1, 8, 3, 64, 64))
    expected = TorchEncoder(network, 8).encode(pixels)
    on_gpu = fastest_on_gpu(TorchEncoder(network, 8, device="cuda"), (1, 8, 3, 64, 64))
    assert cosines(on_gpu.encode(pixels), expected).min() >= PARITY
