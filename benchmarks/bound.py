"""Upper bound of a service's throughput: bare libavcodec, then the bare encoder, on every core.

Run by `benchmarks.worker_group`.
"""

from collections.abc import Callable

from benchmarks.decoders import libavcodec
from benchmarks.encoders import encode


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
