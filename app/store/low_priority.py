"""Embeds large batches of labels in a thread of low priority."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from model import Label, Prototypes, use_cores

Embed: TypeAlias = Callable[[Sequence[Label]], list[Prototypes]]

# Up to this many texts are embedded in the calling thread, which takes a fraction of a second.
_MAX_IN_CALLING_THREAD = 32
# Linux gives a thread of niceness 10 a tenth of the time of one of niceness 0 on the same core.
_NICENESS = 10


class LowPriorityEmbedding:
    """Embeds large batches of labels, one at a time, in a thread of low priority.

    The kernel schedules by thread, and the text model's own threads inherit the priority; at normal
    priority an import would take half of every core from the video encoder. While `is_busy()`,
    embedding uses only half of the cores: threads of low priority still compete for caches and
    memory bandwidth.
    """

    def __init__(self, embed: Embed, is_busy: Callable[[], bool] = lambda: False) -> None:
        self._embed = embed
        self._is_busy = is_busy
        self._executor = ThreadPoolExecutor(1, "embedding", lower_priority)

    def embed(self, labels: Sequence[Label]) -> list[Prototypes]:
        """Return the labels' prototypes; a large batch waits until earlier ones are done.

        Raises LabelError.
        """
        texts = sum(1 + len(label.prompts) + len(label.aliases) for label in labels)
        if texts <= _MAX_IN_CALLING_THREAD:
            return self._embed(labels)
        return self._executor.submit(self._embed_in_thread, labels).result()

    def _embed_in_thread(self, labels: Sequence[Label]) -> list[Prototypes]:
        cores = len(os.sched_getaffinity(0))
        use_cores(max(1, cores // 2) if self._is_busy() else cores)
        return self._embed(labels)

    def close(self) -> None:
        """Stop the thread after the current batch; batches that wait raise CancelledError."""
        self._executor.shutdown(cancel_futures=True)


def lower_priority() -> None:
    """Lower the priority of the calling thread and of the threads that it starts."""
    # only Linux has a priority per thread
    if sys.platform == "linux":
        thread = threading.get_native_id()
        lower = os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(lower, 19))
