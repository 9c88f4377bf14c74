"""What no service can beat: bare libavcodec and the bare encoder, by turns on every core.

Run by `benchmarks.crew`.
"""

from collections.abc import Callable

from benchmarks.decoders import libavcodec
from benchmarks.encoders import encode


def video(path: str, network: str, runtime: str, precision: str) -> Callable[[], object]:
    """One video's frames that must be decoded, and one run of the network.

    Both in one process: the two halves of a physical core get more done of two kinds of work than
    of one, so that all cores decoding and then all encoding would be no bound.
    """
    decode = libavcodec(path)
    embed = encode(network, runtime, precision)

    def unit() -> object:
        decode()
        return embed()

    return unit
