"""Many labels are embedded with what others leave of the processors."""

import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest
import torch

from app.store.low_priority import BackgroundEmbedding
from model import Label
from tests.support.fakes import ColourText, colour_tagger

MANY = [Label(f"action {number}") for number in range(100)]
CORES = len(os.sched_getaffinity(0))


class WatchedText(ColourText):
    """Keeps with how many cores, and how patiently, it was asked to embed."""

    def __init__(self) -> None:
        super().__init__()
        self.cores: list[int] = []
        self.niceness: list[int] = []

    def encode(self, texts):
        self.cores.append(torch.get_num_threads())
        self.niceness.append(niceness())
        return super().encode(texts)


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@contextmanager
def embedding(
    text: WatchedText, is_busy: Callable[[], bool] = lambda: False
) -> Generator[BackgroundEmbedding]:
    background = BackgroundEmbedding(colour_tagger(text=text), is_busy)
    yield background
    background.close()


def test_many_labels_get_every_core_but_half_of_them_while_requests_come():
    text = WatchedText()
    busy = False
    with embedding(text, lambda: busy) as background:
        assert len(background.prototypes(MANY)) == len(MANY)
        busy = True
        background.prototypes(MANY)
        busy = False
        background.prototypes(MANY)
    assert text.cores == [CORES, max(1, CORES // 2), CORES]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
def test_many_labels_wait_for_everybody_and_a_few_for_nobody():
    text = WatchedText()
    with embedding(text) as background:
        background.prototypes(MANY)
        background.prototypes(MANY[:5])
    assert text.niceness == [min(19, niceness() + 10), niceness()]
