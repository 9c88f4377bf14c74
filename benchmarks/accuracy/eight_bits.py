"""Is the encoder as good in 8 bits? `python -m benchmarks.accuracy.eight_bits DATA`.

Quantises the OpenVINO graph of a checkpoint after training, with NNCF and frames of clips of the
split `train` of `DATA/videos/manifest.csv`, in several ways. The labelled clips of the split
`validation` are then tagged with all their labels by the graph in float32 and by each in int8.
Prints top-1 and top-5, their paired differences to float32 with 95 % intervals by bootstrap over
clips, the number of clips that an interval of half a point would need, the calibration error of the
first tag, the AUROC of `unknown`, cosines to float32, and processor milliseconds to encode one
video. One JSON line last. NNCF is no dependency of Kinolex: without changing this environment,
`pip install --target FOLDER --no-deps nncf ninja pydot pyparsing tabulate`, then PYTHONPATH=FOLDER.
"""

import argparse
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.everyday import (
    Case,
    Everyday,
    examine,
    prototypes_of,
    rankings,
    videos_of,
)
from benchmarks.harness.checkpoint import FOLDER
from model import Tagger, load_checkpoint
from model.encoder.encoder import Encoder, Runtime, ShapedEncoder
from model.encoder.preprocess import preprocess
from model.encoder.runtime import make_encoder
from model.encoder.runtime_measurement import supports_bfloat16
from model.encoder.torch_encoder import TorchEncoder
from model.training.data.manifest import Sample, read_manifest
from model.training.measure.intervals import Interval, ratio_interval
from model.training.measure.metrics import Bools, hits_at
from model.video.reader import FrameBatch, open_video

MARGIN = 0.005
"""The largest difference in accuracy, 0..1, between a runtime of `auto` and float32."""
_NORMAL_97_5 = 1.96
_ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Way:
    """How NNCF quantises.

    `seven_bits` uses half of the range of weights, because products of 8 bits overflow 16 bits on
    CPUs without VNNI. Layers of the types `in_float32` are left as they are.
    """

    preset: Literal["mixed", "performance"] = "mixed"
    fast_bias_correction: bool = True
    seven_bits: bool = False
    in_float32: tuple[str, ...] = ()


_WAYS = {
    "mixed": Way(),
    "performance": Way("performance"),
    "seven-bits": Way(seven_bits=True),
    "depthwise-float32": Way(seven_bits=True, in_float32=("GroupConvolution",)),
    "mixed-accurate": Way(fast_bias_correction=False),
    "performance-accurate": Way("performance", fast_bias_correction=False),
}


@dataclass(frozen=True, slots=True)
class Paired:
    """How much better an arm is than another on the same clips, as a difference of shares right.

    `changed` clips are right in one arm only. `needed` is the number of clips whose interval would
    be within `MARGIN` if as many changed, half of them for the better.
    """

    interval: Interval
    changed: int
    needed: int

    @property
    def is_within(self) -> bool:
        """Whether the whole interval is within `MARGIN`."""
        return self.interval.low >= -MARGIN and self.interval.high <= MARGIN


@dataclass(frozen=True, slots=True)
class Arm:
    """Figures of one precision; differences and cosines are to float32's."""

    figures: Everyday
    top1: Paired
    top5: Paired
    min_cosine: float
    mean_cosine: float
    milliseconds: float


def paired(right: Bools, other_right: Bools) -> Paired:
    """Compare the (N,) hits of an arm with another's on the same clips.

    A bootstrap of clips of which none changed would be a point. The interval is then the shares
    that could still change with a probability of 2.5 % to show none in N clips.
    """
    clips = len(right)
    differences = right.astype(np.float64) - other_right.astype(np.float64)
    changed = int(np.count_nonzero(differences))
    unseen = 1 - 0.025 ** (1 / clips)
    needed = math.ceil(max(changed / clips, unseen) * (_NORMAL_97_5 / MARGIN) ** 2)
    if not changed:
        return Paired(Interval(0.0, -unseen, unseen), 0, needed)
    return Paired(ratio_interval(differences, np.ones(clips)), changed, needed)


def spread_over_labels(samples: Sequence[Sample], most: int) -> list[Sample]:
    """Draw at most `most` samples, one of every label before a second of any."""
    shuffled = random.Random(0).sample(list(samples), len(samples))
    earlier: dict[str, int] = {}
    turns = []
    for sample in shuffled:
        turns.append(earlier.get(sample.label, 0))
        earlier[sample.label] = turns[-1] + 1
    order = sorted(range(len(shuffled)), key=lambda row: turns[row])
    return [shuffled[row] for row in order[:most]]


def least_milliseconds(
    work: Mapping[str, Callable[[], object]], rounds: int = _ROUNDS
) -> dict[str, float]:
    """Return the minimum processor milliseconds of each function over `rounds` in turns."""
    found = dict.fromkeys(work, math.inf)
    for _ in range(rounds):
        for name, run in work.items():
            started = time.process_time()
            run()
            found[name] = min(found[name], 1000 * (time.process_time() - started))
    return found


def _frames(tagger: Tagger, video: Sample) -> FrameBatch:
    with video.path.open("rb") as file, open_video(file) as opened:
        times = opened.times(tagger.sampling).ravel()
        return opened.decode(times, short_side=tagger.preprocess.short_side)


def _inputs(tagger: Tagger, frames: FrameBatch) -> npt.NDArray[np.float32]:
    """The graph's input for one video: (1, N, T, H, W, 3)."""
    n, t, c, h, w = tagger.widescreen_shape
    pixels = preprocess([frames.frames], tagger.preprocess).reshape(1, n, t, c, h, w)
    found: npt.NDArray[np.float32] = pixels.permute(0, 1, 2, 4, 5, 3).contiguous().numpy()
    return found


def _quantised(
    tagger: Tagger, graph: Path, into: Path, way: Way, clips: Sequence[FrameBatch]
) -> ShapedEncoder:
    """Quantise a stored graph, and make the encoder that runs it as float32 is run."""
    import nncf
    import openvino
    from nncf.quantization.advanced_parameters import OverflowFix

    fix = OverflowFix.ENABLE if way.seven_bits else OverflowFix.FIRST_LAYER
    quantised = nncf.quantize(
        openvino.Core().read_model(graph),
        nncf.Dataset(clips, lambda frames: _inputs(tagger, frames)),
        preset=nncf.QuantizationPreset(way.preset),
        fast_bias_correction=way.fast_bias_correction,
        subset_size=len(clips),
        ignored_scope=nncf.IgnoredScope(types=list(way.in_float32)),
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=fix),
    )
    into.mkdir()
    openvino.save_model(quantised, into / graph.name, compress_to_fp16=False)
    return _prepared(tagger, Runtime("openvino", "float32"), into)


def _prepared(tagger: Tagger, runtime: Runtime, cache: Path) -> ShapedEncoder:
    reference = tagger.encoder
    assert isinstance(reference, TorchEncoder)
    encoder = make_encoder(runtime, reference, cache=cache, revision=tagger.revision)
    encoder.prepare(tagger.widescreen_shape)
    return encoder


def _arm(tagger: Tagger, case: Case, reference: Case, milliseconds: float) -> Arm:
    cosines = (case.embeddings * reference.embeddings).sum(axis=1)
    prototypes = prototypes_of(tagger, case.labels)
    ranked, own = rankings(tagger, case, prototypes)
    expected, _ = rankings(tagger, reference, prototypes)
    top1, top5 = (paired(hits_at(ranked, own, k), hits_at(expected, own, k)) for k in (1, 5))
    figures, _ = examine(tagger, case)
    least, mean = float(cosines.min()), float(cosines.mean())
    return Arm(figures, top1, top5, least, mean, milliseconds)


def _row(name: str, arm: Arm) -> str:
    def difference(found: Paired) -> str:
        parts = (found.interval.value, found.interval.low, found.interval.high)
        value, low, high = (100 * part for part in parts)
        return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"

    figures = arm.figures
    return (
        f"| {name} | {100 * figures.top1[0]:.1f} | {difference(arm.top1)} | {arm.top1.changed} | "
        f"{arm.top1.needed} | {100 * figures.top5[0]:.1f} | {difference(arm.top5)} | "
        f"{figures.calibration_error:.3f} | {figures.unknown_auroc:.3f} | "
        f"{arm.min_cosine:.4f} | {arm.mean_cosine:.4f} | {arm.milliseconds:.1f} |"
    )


def _encoders(
    tagger: Tagger, calibration: Sequence[FrameBatch], ways: Sequence[str], folder: Path
) -> dict[str, Encoder]:
    plain = folder / "float32"
    found: dict[str, Encoder] = {
        "float32": _prepared(tagger, Runtime("openvino", "float32"), plain)
    }
    if supports_bfloat16():
        runtime = Runtime("openvino", "bfloat16")
        found["bfloat16"] = _prepared(tagger, runtime, folder / "bfloat16")
    [graph] = plain.glob("*.xml")
    for way in ways:
        started = time.perf_counter()
        found[f"int8 {way}"] = _quantised(tagger, graph, folder / way, _WAYS[way], calibration)
        print(f"{way}: quantised in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return found


def main() -> None:
    """Quantise, measure, print a table and one JSON line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("data", type=Path)
    options.add_argument("--checkpoint", type=Path, default=FOLDER)
    options.add_argument("--calibrate-on", type=int, default=256, help="number of training clips")
    options.add_argument("--ways", nargs="+", choices=_WAYS, default=list(_WAYS))
    given = options.parse_args()
    if find_spec("nncf") is None:
        options.exit(1, "NNCF is not installed; --help says how to\n")
    tagger = load_checkpoint(given.checkpoint)
    everything = read_manifest(given.data / "videos" / "manifest.csv", check_files=False)
    training = [sample for sample in everything if sample.split == "train" and sample.label]
    chosen = spread_over_labels(training, given.calibrate_on)
    calibration = [_frames(tagger, video) for video in chosen]
    videos = videos_of(given.data)
    frames = [_frames(tagger, video) for video in videos]
    labels = tuple(video.label for video in videos)
    with tempfile.TemporaryDirectory() as folder:
        encoders = _encoders(tagger, calibration, given.ways, Path(folder))
    taggers = {name: replace(tagger, encoder=encoder) for name, encoder in encoders.items()}
    cases = {
        name: Case(np.concatenate([arm.embed_frames([each]) for each in frames]), labels)
        for name, arm in taggers.items()
    }
    pixels = preprocess([frames[0].frames], tagger.preprocess)
    clip = pixels.reshape(1, *tagger.widescreen_shape)
    cost = least_milliseconds(
        {name: partial(encoder.encode, clip) for name, encoder in encoders.items()}
    )
    arms = {
        name: _arm(tagger, case, cases["float32"], round(cost[name], 2))
        for name, case in cases.items()
    }
    print(
        "| | top-1 | difference | changed | clips needed | top-5 | difference | calibration error "
        "| unknown, AUROC | least cosine | mean cosine | ms |"
    )
    print("|" + "---|" * 12)
    for name, arm in arms.items():
        print(_row(name, arm))
    within = [name for name, arm in arms.items() if name != "float32" and arm.top1.is_within]
    print(f"within {100 * MARGIN:g} points of float32: {', '.join(within) or 'none'}")
    print(json.dumps({"revision": tagger.revision, **{n: asdict(arm) for n, arm in arms.items()}}))


if __name__ == "__main__":
    main()
