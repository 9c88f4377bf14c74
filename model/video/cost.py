"""What reading a video may cost for its size: processor time, decoded pixels and memory.

A file of a few kilobytes can describe hours of work. `allowance` says what a file of a given size
may cost, and `metered` ends the reading of one that costs more.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from model.errors import ExpensiveVideo

# Files up to this size all may cost the same.
_SMALL_FILE_BYTES = 1_000_000
# A small file may cost 2 s of a core in all; the rest is left for what surrounds the decoder.
_SMALL_FILE_SECONDS = 1.65
# Three times what the most expensive of 29 small clips costs when all of its frames are decoded
# (docs/decisions/0032-what-a-file-may-cost-follows-from-its-size.md).
_SECONDS_PER_BYTE = 8e-6
# A small file may cost 300 MB of a decode process, which has 56 MB before its first video.
_SMALL_FILE_MEMORY = 230_000_000
# An index takes up to 50 bytes in memory per byte of its file; 4K needs 20 frames of 12 or 25 MB.
_MEMORY_PER_BYTE = 50
# 120 frames of 4K, or 36 s of 640x360 at 30 frames/s; then as the processor time.
_SMALL_FILE_PIXELS = 1_000_000_000
_PIXELS_PER_BYTE = 5_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What reading one video may cost.

    `cpu_seconds` is the processor time of the process, `pixels` the sum of the sizes of the frames
    that are decoded, `memory_bytes` the memory beyond what the process had before.
    """

    cpu_seconds: float = 3600.0
    pixels: int = 1 << 50
    memory_bytes: int = 1 << 40


# For a caller that has no limits of its own.
UNLIMITED = Allowance()


def allowance(size_bytes: int, factor: float = 1.0) -> Allowance:
    """Return what a file of this size may cost, multiplied by `factor`."""
    beyond = max(0, size_bytes - _SMALL_FILE_BYTES)
    return Allowance(
        factor * (_SMALL_FILE_SECONDS + beyond * _SECONDS_PER_BYTE),
        round(factor * (_SMALL_FILE_PIXELS + beyond * _PIXELS_PER_BYTE)),
        round(factor * (_SMALL_FILE_MEMORY + beyond * _MEMORY_PER_BYTE)),
    )


class CostMeter:
    """Counts what the block of `metered` costs."""

    def __init__(self, allowed: Allowance) -> None:
        self._allowed = allowed
        self._started = time.process_time()
        self._pixels = 0

    @property
    def cpu_seconds(self) -> float:
        """Processor time of this process since the block began, in seconds."""
        return time.process_time() - self._started

    def check(self) -> None:
        """Raise ExpensiveVideo if the processor time is used up."""
        if self.cpu_seconds > self._allowed.cpu_seconds:
            raise too_expensive("processor time")

    def count(self, pixels: int) -> None:
        """Count a frame that is decoded. Raises ExpensiveVideo when there are too many pixels."""
        self._pixels += pixels
        if self._pixels > self._allowed.pixels:
            raise too_expensive(f"decoding ({self._allowed.pixels / 1e6:.4g} megapixels)")


_meter: ContextVar[CostMeter | None] = ContextVar("cost_meter", default=None)


@contextmanager
def metered(allowed: Allowance) -> Iterator[CostMeter]:
    """Limit what reading a video in this block may cost. The block is all the process does."""
    meter = CostMeter(allowed)
    token = _meter.set(meter)
    try:
        yield meter
    finally:
        _meter.reset(token)


def check_cost() -> None:
    """Raise ExpensiveVideo if the block of `metered` around the call has used up its time."""
    meter = _meter.get()
    if meter is not None:
        meter.check()


def count_decoded(pixels: int) -> None:
    """Count a frame to decode. Raises ExpensiveVideo if the block of `metered` has too many."""
    meter = _meter.get()
    if meter is not None:
        meter.count(pixels)


def too_expensive(what: str) -> ExpensiveVideo:
    """Return the error for a video that needs more of `what`."""
    return ExpensiveVideo(
        f"the video needs more {what} than a file of its size may use; encode it again with usual "
        "settings, or ask for keyframes only"
    )
