"""What tests of the decode pools share: descriptors, pools, and a look at the processes."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from app.decode.decode_pool import DecodePool
from app.decode.gpu_pool import GpuDecodePool
from model.video.reader import VideoLimits


@contextmanager
def descriptor(data: bytes) -> Iterator[int]:
    """A memory file that holds the bytes, as an upload does."""
    fd = os.memfd_create("upload")
    try:
        os.write(fd, data)
        yield fd
    finally:
        os.close(fd)


def pool_of(
    workers: int,
    limits: VideoLimits | None = None,
    *,
    max_memory_bytes: int = 2 << 30,
    cpu_seconds: int = 60,
    jobs_per_worker: int = 1000,
    gpu: GpuDecodePool | None = None,
    cost_factor: float = 1.0,
) -> DecodePool:
    return DecodePool(
        workers,
        limits or VideoLimits(),
        max_memory_bytes,
        cpu_seconds,
        jobs_per_worker,
        gpu,
        cost_factor=cost_factor,
    )


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that must happen; the test's timeout is the bound."""
    while not condition():
        await asyncio.sleep(0.01)


def is_alive(pid: int | str) -> bool:
    return Path(f"/proc/{pid}").exists()


def status_of(pid: int) -> str:
    """The process's status file; empty where the process is gone."""
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def count_open_files(pid: int | str = "self") -> int:
    """Number of descriptors of a process, the one that lists them included."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names only, no link is read


def child_processes(module: str) -> set[int]:
    """The ids of the processes that this one has started to run a module."""
    return {child.pid for child in psutil.Process().children() if module in _command_line(child)}


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it ended after it was listed
        return []
