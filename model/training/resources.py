"""The resources of a run: device, data workers, time limit and log."""

from collections.abc import Callable
from dataclasses import dataclass

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TrainingResources:
    """Device, data workers, time limit and log of a run; none of them changes what is learnt.

    `device` is a torch device. `workers` data workers read ahead for each training process, 0 reads
    in that process. `max_minutes` ends the run after the step during which it passes. `tensorboard`
    also writes event files. `log` receives one line of progress at a time.
    """

    device: str = "cpu"
    workers: int = 1
    max_minutes: float = float("inf")
    tensorboard: bool = False
    log: Log = print
