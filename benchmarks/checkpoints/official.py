"""What 25 clips of the paper's network cost: `python -m benchmarks.checkpoints.official`.

A checkpoint as the official code writes it, R(2+1)D-18 with random weights, is converted with
`--clips 25` and encodes 25 clips of 16 frames of 112 x 112 pixels in OpenVINO with bfloat16, as it
is served. Beside it, OpenVINO runs torchvision's network on the same clips without Kinolex, all at
once and one by one; the cheaper is the bound. All run on one core, in turns, and processor time is
compared, because other processes may use the computer. One clip in plain PyTorch shows which
runtime is the best. One JSON line last.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from torchvision.models.video import r2plus1d_18

from model import Tagger, load_checkpoint
from model.encoder.encoder import Runtime
from model.encoder.networks import ClipNetwork, EncoderConfig, build_network
from model.encoder.runtime import make_encoder
from model.encoder.torch_encoder import TorchEncoder
from model.training.convert.official import FRAMES, convert

_SIDE = 112
_DIM = 300
_PARTS = ("stem", "layer1", "layer2", "layer3", "layer4")
_OPTIONS = {
    "INFERENCE_PRECISION_HINT": "bf16",
    "NUM_STREAMS": 1,
    "INFERENCE_NUM_THREADS": 1,
    "ENABLE_CPU_PINNING": False,
}


def converted(folder: Path, clips: int) -> Tagger:
    """Convert a checkpoint of the official code with random weights."""
    torch.manual_seed(0)
    network = build_network(EncoderConfig("r2plus1d_18", _DIM, 0.0)).eval()
    assert isinstance(network, ClipNetwork)
    state = {f"module.regressor.{k}": v for k, v in network.head.linear.state_dict().items()}
    for number, part in enumerate(_PARTS):
        layers = network.get_submodule(f"backbone.{part}").state_dict()
        state |= {f"module.model.{number}.{name}": value for name, value in layers.items()}
    content = {"state_dict": state, "opt": argparse.Namespace(), "accuracy": 0.0}
    torch.save(content, folder / "checkpoint.pth.tar")
    numbers = " ".join(["0.1"] * _DIM)
    (folder / "vectors.txt").write_text(f"horse {numbers}\n")
    source, vectors = folder / "checkpoint.pth.tar", str(folder / "vectors.txt")
    return load_checkpoint(convert(source, vectors, folder / "out", command="", clips=clips))


def bare(network: ClipNetwork, batch: int) -> Callable[[torch.Tensor], Any]:
    """OpenVINO with bfloat16 on one core, and torchvision's network on `batch` clips at once."""
    plain = r2plus1d_18(weights=None)
    plain.fc = torch.nn.Identity()
    plain.load_state_dict(network.backbone.state_dict())
    shape = (batch, 3, FRAMES, _SIDE, _SIDE)
    with torch.no_grad():
        graph = openvino.convert_model(torch.export.export(plain.eval(), (torch.zeros(shape),)))
    graph.reshape(list(shape))
    request = openvino.Core().compile_model(graph, "CPU", _OPTIONS).create_infer_request()

    def run(pixels: torch.Tensor) -> Any:
        parts = torch.split(pixels[0].transpose(1, 2).contiguous(), batch)
        answers = [request.infer([part.numpy()], share_inputs=True)[0].copy() for part in parts]
        return np.concatenate(answers).mean(axis=0)

    return run


def seconds(run: Callable[[torch.Tensor], Any], pixels: torch.Tensor) -> float:
    """Processor time of one run, in seconds."""
    started = time.process_time()
    run(pixels)
    return time.process_time() - started


def main() -> None:
    """Measure, print a table and one JSON line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--clips", type=int, default=25)
    given = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        tagger = converted(Path(folder), given.clips)
    reference = tagger.encoder
    assert isinstance(reference, TorchEncoder)
    assert isinstance(reference.network, ClipNetwork)
    served = make_encoder(Runtime("openvino", "bfloat16"), reference)
    served.prepare((given.clips, FRAMES, 3, _SIDE, _SIDE))
    plain = build_network(EncoderConfig("r2plus1d_18", _DIM, 0.0)).eval()
    assert isinstance(plain, ClipNetwork)
    ways: dict[str, Callable[[torch.Tensor], Any]] = {
        "served": served.encode,
        "bare, all at once": bare(plain, given.clips),
        "bare, one by one": bare(plain, 1),
    }
    pixels = torch.rand(1, given.clips, FRAMES, _SIDE, _SIDE, 3).permute(0, 1, 2, 5, 3, 4)
    found: dict[str, Any] = {"clips": given.clips, "rounds": given.rounds}
    for precision in ("float32", "bfloat16"):
        eager = make_encoder(Runtime("eager", precision), reference)
        found[f"eager {precision}, one clip"] = seconds(eager.encode, pixels[:, :1])
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, run in ways.items():
            spent[name].append(seconds(run, pixels))
            print(f"{name}: {spent[name][-1]:.2f} s", flush=True)
    found |= {name: float(np.median(times)) for name, times in spent.items()}
    bound = min(found[name] for name in ways if name != "served")
    found["share"] = bound / found["served"]
    for name, value in found.items():
        print(f"{name}: {value:.3g}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
