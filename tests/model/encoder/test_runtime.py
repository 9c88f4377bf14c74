"""Runtimes of the encoder: right or refused, chosen by measuring, changed while others ask."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.encoder.compiled_encoder import CompiledEncoder, can_compile
from model.encoder.networks import ClipShape, EncoderConfig, Runtime, TorchEncoder
from model.encoder.rounding import round_filters
from model.encoder.runtime import (
    PARITY,
    Measured,
    RuntimeEncoder,
    fastest,
    fastest_on_gpu,
    installed_runtimes,
    make_encoder,
    measure_runtimes,
    probe_pixels,
)
from model.runtime_trial import cached_choice, trial_command, usual_clips
from tests.support.fakes import colour_tagger
from tests.support.networks import LITE, lively_network

CLIPS: ClipShape = (1, 4, 3, 32, 32)
PAPER = EncoderConfig("r2plus1d_18", dim=8)


@pytest.fixture(scope="module")
def reference() -> TorchEncoder:
    return TorchEncoder(lively_network(LITE), LITE.dim)


def cosines(found: Any, expected: Any) -> Any:
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    return (found * expected).sum(axis=1)


class SmallNetwork(torch.nn.Module):
    """A network of one convolution: where what runs it is the question, not what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.Conv2d(3, 8, 3)
        self.head = torch.nn.Linear(8, 8)

    def features(self, clips: torch.Tensor) -> torch.Tensor:
        """(M, T, 3, H, W) to (M, 8)."""
        frames: torch.Tensor = self.backbone(clips.flatten(0, 1)).mean(dim=(-2, -1))
        return frames.reshape(*clips.shape[:2], 8).mean(dim=1)


def small_reference() -> TorchEncoder:
    torch.manual_seed(0)
    network: Any = SmallNetwork()
    return TorchEncoder(network, 8)


class Halting:
    """A runtime that is prepared when it is told to be, and answers with one axis."""

    runtime = Runtime("openvino", "float32")
    dim = 8

    def __init__(self) -> None:
        self.may_prepare = threading.Event()
        self.prepared: list[ClipShape] = []

    def is_prepared(self, clips: ClipShape) -> bool:
        return clips in self.prepared

    def prepare(self, clips: ClipShape) -> None:
        assert self.may_prepare.wait(10)
        self.prepared.append(clips)

    def encode(self, pixels: torch.Tensor) -> Any:
        return np.eye(1, 8, dtype=np.float32).repeat(len(pixels), axis=0)


def in_a_process_of_its_own(check: str, folder: Path) -> None:
    """Runs a function of this file; what a runtime leaves behind in a process ends with it."""
    program = "import sys, pathlib, tests.model.encoder.test_runtime as file; "
    program += "getattr(file, sys.argv[1])(pathlib.Path(sys.argv[2]))"
    outcome = subprocess.run(
        [sys.executable, "-c", program, check, str(folder)],
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr


def test_openvino_gives_what_torch_gives(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra `openvino`")
    in_a_process_of_its_own("compare_openvino", tmp_path)


def test_openvino_answers_many_threads_at_once(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs the extra `openvino`")
    in_a_process_of_its_own("ask_openvino_at_once", tmp_path)


def compare_openvino(tmp_path: Path) -> None:
    reference = TorchEncoder(lively_network(LITE), LITE.dim)
    pixels = probe_pixels(CLIPS)
    runtime = Runtime("openvino", "float32")

    encoder = make_encoder(runtime, reference, cache=tmp_path, revision="r")
    assert not encoder.is_prepared(CLIPS)
    encoder.prepare(CLIPS)

    assert (encoder.is_prepared(CLIPS), encoder.dim, encoder.runtime) == (True, 8, runtime)
    assert cosines(encoder.encode(pixels), reference.encode(pixels)).min() > 0.99999
    # what was converted is there for the next process
    (kept,) = tmp_path.glob("r-1x4x3x32x32-*.xml")
    changed = kept.stat().st_mtime_ns
    again = make_encoder(runtime, reference, cache=tmp_path, revision="r")
    again.prepare(CLIPS)
    assert kept.stat().st_mtime_ns == changed
    np.testing.assert_allclose(again.encode(pixels), encoder.encode(pixels), atol=1e-6)


def ask_openvino_at_once(_: Path) -> None:
    reference = small_reference()
    encoder = make_encoder(Runtime("openvino", "float32"), reference, threads=2)
    encoder.prepare(CLIPS)
    pixels = probe_pixels(CLIPS)
    expected = reference.encode(pixels)
    wrong: list[int] = []

    def ask(row: int) -> None:
        for _ in range(5):
            found = encoder.encode(pixels[row : row + 1])
            if cosines(found, expected[row : row + 1]).min() < 0.9999:
                wrong.append(row)

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(4)]
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
    in_a_process_of_its_own("compare_compiled", tmp_path)
    assert any(tmp_path.iterdir())


def test_filters_that_cancel_still_cancel_in_16_bits() -> None:
    """Rounded tap by tap, an edge filter answers to flat surfaces; summed, it must not."""
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
    def make(runtime: Runtime, _: TorchEncoder) -> Any:
        liar = Halting()
        liar.may_prepare.set()
        return liar

    measured = list(measure_runtimes(reference, ["openvino"], CLIPS, make))

    assert measured[0].runtime == Runtime("eager", "float32")
    assert all(not each.is_right for each in measured[1:])
    assert fastest(measured) == measured[0]


def test_a_runtime_that_breaks_does_not_stop_the_others(reference: TorchEncoder) -> None:
    def make(runtime: Runtime, encoder: TorchEncoder) -> Any:
        if runtime.name == "openvino":
            raise RuntimeError("no such plugin")
        return make_encoder(runtime, encoder)

    measured = list(measure_runtimes(reference, ["openvino", "eager"], CLIPS, make))

    assert [each.fault for each in measured if each.runtime.name == "openvino"][-1] == (
        "RuntimeError: no such plugin"
    )
    assert fastest(measured).runtime.name == "eager"


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
    expected = reference.encode(pixels)
    fast = Halting()
    encoder.switch_to(fast)

    np.testing.assert_array_equal(encoder.encode(pixels), expected)
    fast.may_prepare.set()
    for _ in range(1000):
        if fast.prepared:
            break
        threading.Event().wait(0.005)
    assert fast.prepared == [CLIPS]
    np.testing.assert_array_equal(encoder.encode(pixels), fast.encode(pixels))
    assert encoder.runtime == fast.runtime


def test_a_choice_is_kept_for_these_circumstances_only(tmp_path: Path) -> None:
    from model import runtime_trial

    tagger = colour_tagger()
    assert cached_choice(tmp_path, tagger, ["eager"]) is None

    chosen = Measured(Runtime("eager", "bfloat16"), 12.5, 0.9999)
    document = {"chosen": {"runtime": {"name": "eager", "precision": "bfloat16"}}}
    document["chosen"] |= {"milliseconds": 12.5, "cosine": 0.9999, "fault": ""}
    kept = runtime_trial._file(tmp_path, tagger, ["eager"])
    kept.write_text(json.dumps(document))
    assert cached_choice(tmp_path, tagger, ["eager"]) == chosen
    assert cached_choice(tmp_path, tagger, ["eager", "openvino"]) is None

    kept.write_text("{damaged")
    assert cached_choice(tmp_path, tagger, ["eager"]) is None


def test_the_usual_clip_is_a_widescreen_one() -> None:
    assert usual_clips(colour_tagger()) == (1, 4, 3, 32, 32)


def test_eager_is_always_there(tmp_path: Path) -> None:
    assert installed_runtimes()[0] == "eager"
    assert trial_command("folder", tmp_path, ["eager"])[-3:] == ["folder", str(tmp_path), "eager"]


@pytest.mark.cuda
@pytest.mark.parametrize("config", [LITE, PAPER], ids=lambda config: config.network)
def test_the_gpu_in_16_bits_stays_within_parity_of_the_cpu(config: EncoderConfig) -> None:
    network = lively_network(config)
    pixels = probe_pixels((1, 8, 3, 64, 64))
    expected = TorchEncoder(network, 8).encode(pixels)
    on_gpu = fastest_on_gpu(TorchEncoder(network, 8, device="cuda"), (1, 8, 3, 64, 64))
    assert cosines(on_gpu.encode(pixels), expected).min() >= PARITY
