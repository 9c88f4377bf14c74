"""Upper bound of a service's throughput: bare libavcodec, then the bare encoder, on every core.

Run by `benchmarks.harness.worker_group`.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.harness.checkpoint import checkpoint_config
from benchmarks.speed.decoders import decode_at, libavcodec
from benchmarks.speed.encoders import encode
from model import WindowPlan, load_checkpoint
from model.video.reader import open_video

# The service's defaults.
_WINDOW_SECONDS, _STRIDE_SECONDS = 4.0, 2.0


def video(path: str, network: str, runtime: str, precision: str) -> Callable[[], object]:
    """Prepare a unit of work: decode the frames of one video that are needed, then encode them.

    Both run in one process: the two threads of a physical core get more done on two kinds of work
    than on one, so that all cores decoding and then all cores encoding would be no upper bound.
    """
    decode = libavcodec(path)
    embed = encode(network, runtime, precision)

    def unit() -> object:
        decode()
        return embed()

    return unit


def film(path: str, network: str, runtime: str, precision: str) -> Callable[[], object]:
    """Prepare a unit of work: decode each frame that a film's chunks need, and encode it once."""
    with Path(path).open("rb") as file, open_video(file) as opened:
        plan = WindowPlan.over(
            opened.info.duration_seconds,
            window_seconds=_WINDOW_SECONDS,
            stride_seconds=_STRIDE_SECONDS,
            max_windows=1024,
        )
        batches = list(load_checkpoint().chunks(plan, opened.info).batches())
    times = np.unique(np.concatenate([batch.distinct_seconds for batch in batches]))
    decode = decode_at(path, times.tolist())
    embed = encode(network, runtime, precision)
    sampling, _ = checkpoint_config()
    runs = math.ceil(len(times) / (sampling.clips * sampling.frames_per_clip))

    def unit() -> object:
        decode()
        return [embed() for _ in range(runs)]

    return unit
