"""The processes that `torchrun` starts: rank, collectives over all ranks, and SIGTERM."""

import signal
import threading
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, slots=True)
class DistributedRank:
    """The rank of this process, from 0, among `world_size` processes."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and log lines."""
        return self.rank == 0


def join() -> DistributedRank:
    """Join the process group of `torchrun`; without torchrun, return rank 0 of 1."""
    if not dist.is_torchelastic_launched():
        return DistributedRank()
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    return DistributedRank(dist.get_rank(), dist.get_world_size())


def leave(process: DistributedRank) -> None:
    """Leave the process group; `join` may be called again."""
    if process.world_size > 1:
        dist.destroy_process_group()


def own_device(device: str, process: DistributedRank) -> str:
    """Resolve `cuda` to this process's own GPU on its machine; other devices stay as they are."""
    if process.world_size > 1 and device == "cuda":
        return f"cuda:{dist.get_node_local_rank()}"
    return device


def total(values: list[float], process: DistributedRank) -> list[float]:
    """Sum each value over all processes."""
    if process.world_size == 1:
        return values
    sums = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(sums)
    return sums.tolist()


def gather(own: Tensor, process: DistributedRank) -> Tensor:
    """Concatenate (B, ...) tensors of all processes to (B * world_size, ...), with gradients."""
    if process.world_size == 1:
        return own
    gathered: Tensor = _Gather.apply(own, process)
    return gathered


class _Gather(torch.autograd.Function):
    """All-gather with gradients; torch.distributed's own is deprecated and needs all-to-all."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, process: DistributedRank) -> Tensor:
        ctx.process = process
        parts = [torch.empty_like(own) for _ in range(process.world_size)]
        dist.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        whole = gradients[0].clone()
        dist.all_reduce(whole)
        return whole.chunk(ctx.process.world_size)[ctx.process.rank], None


class SigtermWatch:
    """Records that SIGTERM arrived instead of ending the process.

    Signal handlers can only be set in the main thread; in other threads nothing is recorded.
    """

    def __init__(self) -> None:
        self._received = threading.Event()
        self._listens = threading.current_thread() is threading.main_thread()
        if self._listens:
            self._previous = signal.signal(signal.SIGTERM, lambda *_: self._received.set())

    def was_received(self) -> bool:
        """Whether SIGTERM arrived since the watch was created."""
        return self._received.is_set()

    def end(self) -> None:
        """Restore the previous signal handler."""
        if self._listens:
            signal.signal(signal.SIGTERM, self._previous)


def ignore_sigterm(_: int) -> None:
    """Ignore SIGTERM in a data worker.

    Service managers signal the whole process group, and the run still needs the worker for the
    step that it finishes.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
