"""One process, or one of several that `torchrun` started: who it is and what all agree on."""

import signal
import threading
from dataclasses import dataclass

import torch
import torch.distributed as dist


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


def stop_on_sigterm() -> threading.Event:
    """An event that SIGTERM sets; only the main thread may listen, elsewhere it stays unset."""
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
    return stop


def outlive_sigterm(_: int) -> None:
    """For data workers: a service manager signals the whole group, and the run wants its step."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
