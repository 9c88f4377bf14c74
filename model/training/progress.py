"""What a run says while it runs: one line for people, JSON lines and TensorBoard for machines."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

LOG = "log.jsonl"

Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Says nothing about `done` of `total`."""


class ProgressLine:
    """Counts steps; every `every` steps it says speed, terms of the loss and time left.

    The same goes to `log.jsonl` in the folder `out`, and to TensorBoard's files there if asked.
    """

    def __init__(
        self,
        steps: int,
        first: int,
        out: Path,
        say: Callable[[str], None],
        *,
        every: int = 10,
        tensorboard: bool = False,
    ) -> None:
        self._steps, self._every = steps, every
        self._log, self._say = out / LOG, say
        self._started, self._first = time.monotonic(), first
        self._clips = self._skipped = 0
        self._writer = None
        if tensorboard:
            # a package that only those need who ask for it
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(out))

    def update(self, step: int, parts: Mapping[str, float], *, clips: int, skipped: int) -> None:
        """Note that `step` steps are done; `parts` are this step's terms of the loss."""
        self._clips += clips
        self._skipped += skipped
        if step % self._every and step != self._steps:
            return
        elapsed = time.monotonic() - self._started
        left = elapsed / (step - self._first) * (self._steps - step)
        entry = {
            "step": step,
            "clips_per_second": round(self._clips / elapsed, 2),
            "skipped_files": self._skipped,
            **{name: round(value, 5) for name, value in parts.items()},
        }
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if self._writer is not None:
            for name, value in entry.items():
                self._writer.add_scalar(f"train/{name}", value, step)
            self._writer.flush()
        terms = "  ".join(f"{name} {value:.3f}" for name, value in parts.items())
        self._say(
            f"step {step}/{self._steps}  {entry['clips_per_second']} clips/s  {terms}  "
            f"left {int(left // 60)}:{int(left % 60):02d}"
        )
