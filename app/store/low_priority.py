"""Embedding that lets requests go first."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from app.store.records import PrototypeSource
from model import Label, Prototypes, TextEncoder, use_cores

# So few are embedded in the caller's thread, before a person notices.
_AT_ONCE = 32
# Of two busy threads at 0 and 10 on one core, Linux gives the second a tenth.
_NICENESS = 10


class BackgroundEmbedding:
    """A source of prototypes whose large batches run one at a time in a thread of low priority.

    The kernel divides processors by thread, and the text model's own threads inherit the
    priority; without it an import would take half of every core from the video encoder. While
    `is_busy` says that requests come, it leaves half of the cores alone besides: threads of low
    priority still take caches and memory from the others.
    """

    def __init__(
        self, source: PrototypeSource, is_busy: Callable[[], bool] = lambda: False
    ) -> None:
        self._source = source
        self._is_busy = is_busy
        self._executor = ThreadPoolExecutor(1, "embedding", lower_priority)

    @property
    def text_space(self) -> str:
        """The source's."""
        return self._source.text_space

    @property
    def text(self) -> TextEncoder:
        """The source's."""
        return self._source.text

    def prototypes(self, labels: Sequence[Label]) -> list[Prototypes]:
        """The source's; blocks until the batches before this one are done."""
        if len(labels) <= _AT_ONCE:
            return self._source.prototypes(labels)
        return self._executor.submit(self._embed, labels).result()

    def _embed(self, labels: Sequence[Label]) -> list[Prototypes]:
        cores = len(os.sched_getaffinity(0))
        use_cores(max(1, cores // 2) if self._is_busy() else cores)
        return self._source.prototypes(labels)

    @property
    def typical_videos(self) -> npt.NDArray[np.float32]:
        """The source's."""
        return self._source.typical_videos

    @property
    def video_space(self) -> str:
        """The source's."""
        return self._source.video_space

    def teach(self, prototypes: Prototypes, examples: npt.NDArray[np.float32]) -> Prototypes:
        """The source's; no work worth a thread."""
        return self._source.teach(prototypes, examples)

    def close(self) -> None:
        """Ends the thread after the batch at hand."""
        self._executor.shutdown()


def lower_priority() -> None:
    """Lets the calling thread, and those that it starts, wait for all others."""
    # only Linux has a priority for each thread
    if sys.platform == "linux":
        thread = threading.get_native_id()
        lower = os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(lower, 19))
