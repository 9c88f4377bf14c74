"""ONNX Runtime beside the runtimes of Kinolex: `python -m benchmarks.speed.onnx_runtime`.

Exports the features of the default checkpoint to ONNX and encodes one video of its shape in one
thread, in float32: in ONNX Runtime, OpenVINO, plain torch and, where it can compile, torch.compile.
Prints the minimum processor milliseconds over rounds in turns, and the minimum cosine of
the features to plain torch's over the four probe videos of `runtime_measurement`. One JSON line
last. ONNX Runtime is no dependency of Kinolex: without changing this environment,
`pip install --target FOLDER --no-deps onnxruntime onnx onnxscript onnx_ir ml_dtypes flatbuffers`,
then PYTHONPATH=FOLDER.
"""

import argparse
import json
import platform
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from benchmarks.accuracy.eight_bits import least_milliseconds
from model import load_checkpoint
from model.encoder.encoder import ClipShape, Runtime
from model.encoder.networks import Network, served_features
from model.encoder.runtime import installed_runtimes, make_encoder
from model.encoder.runtime_measurement import probe_pixels
from model.encoder.torch_encoder import TorchEncoder

Vectors = npt.NDArray[np.float32]


class _Features(nn.Module):
    """What every runtime computes: features of clips, in float32."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        return served_features(self.network, pixels, torch.float32)


def _in_onnx_runtime(network: Network, clips: ClipShape) -> Callable[[Tensor], Vectors]:
    """Export the network for one video of this shape, and make the function that runs it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with TemporaryDirectory() as folder:
        path = Path(folder, "features.onnx")
        example = (torch.zeros(1, *clips),)
        torch.onnx.export(_Features(network).eval(), example, path, dynamo=True)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    [entry] = session.get_inputs()

    def features(pixels: Tensor) -> Vectors:
        found: list[Any] = session.run(None, {entry.name: pixels.contiguous().numpy()})
        return np.asarray(found[0], np.float32)

    return features


def _least_cosine(found: Vectors, expected: Vectors) -> float:
    rows, others = (each.reshape(-1, each.shape[-1]) for each in (found, expected))
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(others, axis=1)
    return float(((rows * others).sum(axis=1) / norms).min())


def main() -> None:
    """Measure, print a table and one JSON line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.parse_args()
    if find_spec("onnxruntime") is None or find_spec("onnxscript") is None:
        options.exit(1, "ONNX Runtime is not installed; --help says how to\n")
    torch.set_num_threads(1)
    tagger = load_checkpoint()
    reference = tagger.encoder
    assert isinstance(reference, TorchEncoder)
    clips = tagger.widescreen_shape
    probes = probe_pixels(clips)
    runs: dict[str, Callable[[Tensor], Vectors]] = {
        "onnxruntime": _in_onnx_runtime(reference.network, clips)
    }
    for name in installed_runtimes():
        encoder = make_encoder(Runtime(name, "float32"), reference)
        encoder.prepare(clips)
        runs[name] = encoder.features
    expected = reference.features(probes)
    cosines = {
        name: _least_cosine(np.concatenate([run(video[None]) for video in probes]), expected)
        for name, run in runs.items()
    }
    spent = least_milliseconds({name: partial(run, probes[:1]) for name, run in runs.items()})
    print(f"{platform.machine()}, {clips}\n| runtime, float32 | ms | least cosine |\n|---|---|---|")
    for each, milliseconds in spent.items():
        print(f"| {each} | {milliseconds:.1f} | {cosines[each]:.6f} |")
    print(json.dumps({"milliseconds": spent, "cosines": cosines}))


if __name__ == "__main__":
    main()
