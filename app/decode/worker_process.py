"""Starts one worker process and talks to it through a socket."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from app.decode.protocol import MAX_MESSAGE_BYTES, Request, Start, encode

_ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "1048576",  # else a long video's index stays in memory
    # free memory up to this size is reused by the next video; the worker releases more
    "MALLOC_TRIM_THRESHOLD_": "8388608",
    "MALLOC_TOP_PAD_": "1048576",
    # else the stacks of ended decode threads stay, 8 MiB each, and seem to be what a video left
    "GLIBC_TUNABLES": "glibc.pthread.stack_cache_size=0",
}


class WorkerExited(Exception):
    """The process has ended; `exit_code` is the negative number of a signal that ended it."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"exit code {exit_code}")
        self.exit_code = exit_code


class WorkerMemory(Protocol):
    """Memory whose descriptor a worker inherits at its start, and keeps."""

    @property
    def fd(self) -> int: ...

    def close_file(self) -> None:
        """Close the descriptor in this process."""


_Memory = TypeVar("_Memory", bound=WorkerMemory)


@dataclass(frozen=True, slots=True)
class Job:
    """A request and the descriptors that are sent with it."""

    request: Request
    fds: Sequence[int]


class WorkerProcess(Generic[_Memory]):
    """Runs a worker program, which does one job at a time.

    `jobs` is the number of jobs sent so far, `memory` the memory that it keeps until it is killed.
    """

    def __init__(
        self,
        module: str,
        start: Start,
        environment: Mapping[str, str],
        memory: _Memory | None,
    ) -> None:
        self.jobs = 0
        self.memory = memory
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        with theirs:
            fds = [theirs.fileno(), *([] if memory is None else [memory.fd])]
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-B", "-m", module, encode(start), *map(str, fds)],
                    cwd="/",
                    env={**environment, **_ENVIRONMENT},
                    stdin=subprocess.DEVNULL,
                    pass_fds=fds,
                    # Ctrl-C on a terminal must reach the service only, which then ends its workers.
                    start_new_session=True,
                )
            except OSError:
                self._socket.close()
                raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, job: Job) -> None:
        """Start a job. Raises ConnectionError if the process has ended."""
        self.jobs += 1
        socket.send_fds(self._socket, [encode(job.request)], job.fds)

    async def receive(self) -> bytes:
        """Wait for the worker's next message and return it. Raises WorkerExited."""
        try:
            message = await asyncio.get_running_loop().sock_recv(self._socket, MAX_MESSAGE_BYTES)
        except ConnectionError:
            message = b""
        if not message:
            raise WorkerExited(await self.wait())
        return message

    def kill(self) -> None:
        """End the process at once, also in the middle of a job; `wait` must follow."""
        self._process.kill()
        self._socket.close()
        self.memory = None

    async def wait(self) -> int:
        """Wait until the process ends and return its exit code."""
        return await asyncio.to_thread(self._process.wait)
