"""One process, or one of several that `torchrun` started: who it is and what all agree on."""

import signal
import threading
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Place:
    """This process's number among `world`, from 0."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0


def join() -> Place:
    """Meet the processes that `torchrun` started; alone without it."""
    if not dist.is_torchelastic_launched():
        return Place()
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    return Place(dist.get_rank(), dist.get_world_size())


def leave(place: Place) -> None:
    """Part from the others; `join` may be called again."""
    if place.world > 1:
        dist.destroy_process_group()


def own_device(device: str, place: Place) -> str:
    """`cuda` as the one of this machine's GPUs that belongs to this process."""
    if place.world > 1 and device == "cuda":
        return f"cuda:{dist.get_node_local_rank()}"
    return device


def total(values: list[float], place: Place) -> list[float]:
    """The sums over all processes."""
    if place.world == 1:
        return values
    sums = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(sums)
    return sums.tolist()


def gather(own: Tensor, place: Place) -> Tensor:
    """(B, ...) of each process as (B * world, ...) of all, through which gradients flow back."""
    if place.world == 1:
        return own
    gathered: Tensor = _Gather.apply(own, place)
    return gathered


class _Gather(torch.autograd.Function):
    """torch.distributed's own one is deprecated and needs all-to-all."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, place: Place) -> Tensor:
        ctx.place = place
        parts = [torch.empty_like(own) for _ in range(place.world)]
        dist.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        whole = gradients[0].clone()
        dist.all_reduce(whole)
        return whole.chunk(ctx.place.world)[ctx.place.rank], None


class SigtermWatch:
    """Whether SIGTERM has come since; only the main thread may listen, elsewhere it never has."""

    def __init__(self) -> None:
        self._came = threading.Event()
        self._listens = threading.current_thread() is threading.main_thread()
        if self._listens:
            self._before = signal.signal(signal.SIGTERM, lambda *_: self._came.set())

    def has_come(self) -> bool:
        """Whether the run is to stop."""
        return self._came.is_set()

    def end(self) -> None:
        """From now on SIGTERM does what it did before."""
        if self._listens:
            signal.signal(signal.SIGTERM, self._before)


def outlive_sigterm(_: int) -> None:
    """For data workers: a service manager signals the whole group, and the run wants its step."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
