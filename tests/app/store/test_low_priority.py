"""Large batches of labels are embedded at low priority, and small ones at once."""

import os
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pytest
import torch

from app.store.low_priority import LowPriorityEmbedding
from model import Label
from tests.support.fakes import ColourText, colour_tagger

MANY = [Label(f"action {number}") for number in range(100)]
CORES = len(os.sched_getaffinity(0))


class RecordingText(ColourText):
    """Records the number of cores and the niceness of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.cores: list[int] = []
        self.niceness: list[int] = []

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.cores.append(torch.get_num_threads())
        self.niceness.append(niceness())
        return super().encode(texts)


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@contextmanager
def embedding(
    text: RecordingText, is_busy: Callable[[], bool] = lambda: False
) -> Generator[LowPriorityEmbedding]:
    thread = LowPriorityEmbedding(colour_tagger(text=text).prototypes, is_busy)
    yield thread
    thread.close()


def test_a_large_batch_uses_all_cores_and_half_of_them_while_busy() -> None:
    text = RecordingText()
    busy = False
    with embedding(text, lambda: busy) as thread:
        assert len(thread.embed(MANY)) == len(MANY)
        busy = True
        thread.embed(MANY)
        busy = False
        thread.embed(MANY)
    assert text.cores == [CORES, max(1, CORES // 2), CORES]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
def test_a_large_batch_has_low_priority_and_a_small_one_normal_priority() -> None:
    text = RecordingText()
    with embedding(text) as thread:
        thread.embed(MANY)
        thread.embed(MANY[:5])
    assert text.niceness == [min(19, niceness() + 10), niceness()]
