"""The progress of a run: log lines for people, JSON lines and TensorBoard events for programs."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from model.training.resources import Log

LOG_FILE = "log.jsonl"

Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Ignore that `done` of `total` items are done."""


class ProgressLog:
    """Logs speed, loss terms and remaining time every `every` steps and after the last step.

    The same values go to `log.jsonl` in the folder `out`, and with `tensorboard` to event files
    there. `first` is the number of steps that were done before.
    """

    def __init__(
        self,
        steps: int,
        first: int,
        out: Path,
        log: Log,
        *,
        every: int = 10,
        tensorboard: bool = False,
    ) -> None:
        self._steps, self._every = steps, every
        self._file, self._log = out / LOG_FILE, log
        self._started, self._first = time.monotonic(), first
        self._clips = self._skipped = 0
        self._writer = None
        if tensorboard:
            # an optional dependency
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(out))

    def update(self, step: int, terms: Mapping[str, float], *, clips: int, skipped: int) -> None:
        """Record that `step` steps are done; `terms` are the loss terms of the last one.

        `clips` and `skipped` count the last step's clips and the unreadable files it replaced.
        """
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
            **{name: round(value, 5) for name, value in terms.items()},
        }
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if self._writer is not None:
            for name, value in entry.items():
                self._writer.add_scalar(f"train/{name}", value, step)
            self._writer.flush()
        listed = "  ".join(f"{name} {value:.3f}" for name, value in terms.items())
        self._log(
            f"step {step}/{self._steps}  {entry['clips_per_second']} clips/s  {listed}  "
            f"left {int(left // 60)}:{int(left % 60):02d}"
        )
