"""What a run says while it runs: one line for people, JSON lines for machines."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path


class ProgressLine:
    """Counts steps; every `every` steps it says speed, terms of the loss and time left."""

    def __init__(
        self, steps: int, first: int, log: Path, say: Callable[[str], None], *, every: int = 10
    ) -> None:
        self._steps, self._every = steps, every
        self._log, self._say = log, say
        self._started, self._first = time.monotonic(), first
        self._clips = self._skipped = 0

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
        terms = "  ".join(f"{name} {value:.3f}" for name, value in parts.items())
        self._say(
            f"step {step}/{self._steps}  {entry['clips_per_second']} clips/s  {terms}  "
            f"left {int(left // 60)}:{int(left % 60):02d}"
        )
