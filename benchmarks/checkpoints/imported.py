"""What imported encoders cost: `python -m benchmarks.checkpoints.imported`.

Prints the multiplications of one video for every tower that can be imported and for the default
network, counted by torch without weights. Then a CLIP of the size of ViT-B/32 with random weights
is imported, and encodes 8 frames in OpenVINO with bfloat16, as it is served; beside it, OpenVINO
runs transformers' own vision tower on the same frames, without Kinolex. Both run on one core, in
turns, and processor time is compared, because other processes may use the computer. One JSON line
last. With `--parity`, the trial of runtimes measures OpenVINO and `torch.compile` on a small random
model of each family instead, or of the named ones, as it does before the service switches.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import openvino
import torch
from torch.utils.flop_counter import FlopCounterMode

from model import load_checkpoint
from model.encoder.encoder import Runtime
from model.encoder.perception_tower import PeArchitecture
from model.encoder.runtime import make_encoder
from model.encoder.runtime_measurement import measure_runtimes
from model.encoder.torch_encoder import TorchEncoder
from model.training.convert.import_model import import_model
from tests.support.tiny_encoders import (
    save_pe_core,
    save_video_prism,
    tiny_pe_core,
    tiny_video_prism,
)
from tests.support.tiny_sentence_models import save_image_model, save_video_model
from tests.support.tiny_towers import save_tiny, tiny_clip, tiny_siglip

_FRAMES = 8
# A small random model of each family.
_TINY: dict[str, Callable[[Path], Path]] = {
    "clip": lambda folder: save_tiny(tiny_clip(), folder / "model"),
    "siglip": lambda folder: save_tiny(tiny_siglip(), folder / "model"),
    "video_prism": lambda folder: save_video_prism(tiny_video_prism(), folder / "model"),
    "pe_core": lambda folder: save_pe_core(tiny_pe_core(), folder / "model"),
    "sentence_images": save_image_model,
    "sentence_videos": save_video_model,
}


def multiplications(network: torch.nn.Module, shape: tuple[int, ...]) -> float:
    """Count the multiplications of one forward pass, in 1e9."""
    pixels = torch.rand(shape, device=next(network.parameters()).device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval().requires_grad_(False)(pixels)
    return float(counter.get_total_flops()) / 2e9


def costs() -> dict[str, float]:
    """Multiplications of one video, in 1e9: 8 frames of PE-Core, 16 of VideoPrism."""
    import timm
    from transformers import VideoPrismVisionConfig
    from transformers.models.videoprism.modeling_videoprism import VideoPrismVideoModel

    tagger = load_checkpoint()
    assert isinstance(tagger.encoder, TorchEncoder)
    found = {"default": multiplications(tagger.encoder.network, (1, *tagger.widescreen_shape))}
    for name in get_args(PeArchitecture):
        with torch.device("meta"):
            made: Any = timm.create_model(name, num_classes=512, global_pool="map")
        found[name] = _FRAMES * multiplications(made, (1, *made.default_cfg["input_size"]))
    with torch.device("meta"):
        video = VideoPrismVideoModel(VideoPrismVisionConfig())
    found["VideoPrism-LvT-B"] = multiplications(video, (1, 16, 3, 288, 288))
    return found


def vit_b_32() -> Any:
    """A CLIP with the vision tower of ViT-B/32, random weights and a small text tower."""
    from transformers import CLIPConfig, CLIPModel

    vision = {"image_size": 224, "patch_size": 32}
    text = {"vocab_size": 20, "num_hidden_layers": 2, "eos_token_id": 3, "bos_token_id": 2}
    torch.manual_seed(0)
    model: Any = CLIPModel(CLIPConfig(text_config=text, vision_config=vision))
    return model.eval()


def served(model: Any, folder: Path) -> Callable[[torch.Tensor], Any]:
    """Import the model; return what encodes (1, N, T, 3, H, W) pixels as the service does."""
    # ViT-B/32 sees 224 px, and the helper's processor says 32
    source = save_tiny(model, folder / "vit")
    path = source / "preprocessor_config.json"
    document = json.loads(path.read_text())
    document |= {
        "size": {"shortest_edge": 224},
        "crop_size": {"height": 224, "width": 224},
    }
    path.write_text(json.dumps(document))
    tagger = load_checkpoint(import_model(str(source), folder / "out", command=""))
    reference = tagger.encoder
    assert isinstance(reference, TorchEncoder)
    encoder = make_encoder(Runtime("openvino", "bfloat16"), reference)
    encoder.prepare((_FRAMES, 1, 3, 224, 224))
    return encoder.encode


def bare(model: Any) -> Callable[[torch.Tensor], Any]:
    """OpenVINO with bfloat16 on one core, and transformers' vision tower."""

    class Tower(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: torch.Tensor) -> Any:
            return self.model.get_image_features(pixel_values=pixels).pooler_output

    shape = (_FRAMES, 3, 224, 224)
    with torch.no_grad():
        graph = openvino.convert_model(torch.export.export(Tower().eval(), (torch.zeros(shape),)))
    graph.reshape(list(shape))
    options = {
        "INFERENCE_PRECISION_HINT": "bf16",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    request = openvino.Core().compile_model(graph, "CPU", options).create_infer_request()

    def run(pixels: torch.Tensor) -> Any:
        answer = request.infer([pixels[0].flatten(0, 1).contiguous().numpy()], share_inputs=True)
        return answer[0].mean(axis=0)

    return run


def parities(families: Iterable[str], folder: Path) -> None:
    """Print how the runtimes agree with plain PyTorch, for a small model of each family."""
    for name in families:
        (folder / name).mkdir()
        source = _TINY[name](folder / name)
        tagger = load_checkpoint(import_model(str(source), folder / name / "out", command=""))
        reference = tagger.encoder
        assert isinstance(reference, TorchEncoder)
        for each in measure_runtimes(
            reference, ["eager", "openvino", "compile"], tagger.widescreen_shape
        ):
            found = each.fault.partition("\n")[0] or f"cosine {each.cosine:.6f}"
            print(f"{name}, {each.runtime}: {found}", flush=True)


def main() -> None:
    """Measure, print a table and one JSON line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=60)
    options.add_argument("--parity", nargs="*", choices=_TINY, metavar="FAMILY")
    given = options.parse_args()
    torch.set_num_threads(1)
    if given.parity is not None:
        with tempfile.TemporaryDirectory() as folder:
            parities(given.parity or _TINY, Path(folder))
        return
    found: dict[str, Any] = {"multiplications": costs()}
    for name, value in found["multiplications"].items():
        print(f"{name}: {value:,.1f} G")
    model = vit_b_32()
    with tempfile.TemporaryDirectory() as folder:
        ways = {"served": served(model, Path(folder)), "bare": bare(model)}
    pixels = torch.rand(1, _FRAMES, 1, 224, 224, 3).permute(0, 1, 2, 5, 3, 4)
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, run in ways.items():
            started = time.process_time()
            run(pixels)
            spent[name].append(1000 * (time.process_time() - started))
    for name, times in spent.items():
        found[name] = {"median": float(np.median(times)), "min": min(times)}
        print(f"{name}: median {np.median(times):.1f} ms of processor time, min {min(times):.1f}")
    found["share"] = found["bare"]["median"] / found["served"]["median"]
    print(f"throughput as served / bare OpenVINO: {found['share']:.2f}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
