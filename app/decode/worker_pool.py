"""Limited processes that do one job at a time: recycled, killed at the deadline, replaced.

A worker is a fresh Python process. It is handed descriptors and answers on its socket. Whatever
goes wrong inside costs that one video: the worker is killed and another takes its place.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import anyio

from app.decode.frame_memory import FrameOutput, FrameSlots
from app.decode.protocol import Answer
from app.decode.worker import MESSAGE_BYTES
from model import CorruptVideo, KinolexError

_START_SECONDS = 30.0


class DecodeTimeout(KinolexError):
    """The deadline or the processor time was over before the video was decoded."""

    code = "deadline_exceeded"


class _WorkerGone(Exception):
    """The worker process ended by itself; `exit_code` is negative for a signal."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


class _Worker:
    """One process and the socket to it. Does one job at a time."""

    def __init__(
        self,
        module: str,
        arguments: str,
        environment: Mapping[str, str],
        slots: FrameSlots | None,
    ) -> None:
        self.jobs = 0
        self.slots = slots
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        with theirs:
            fds = [theirs.fileno(), *([] if slots is None else [slots.fd])]
            numbers = map(str, fds)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-B", "-m", module, arguments, *numbers],
                cwd="/",
                env={
                    **environment,
                    "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
                    "OPENBLAS_NUM_THREADS": "1",
                    "MALLOC_MMAP_THRESHOLD_": "1048576",  # or a long video's index stays
                    # what a video leaves serves the next; the worker gives back what is much
                    "MALLOC_TRIM_THRESHOLD_": "8388608",
                    "MALLOC_TOP_PAD_": "1048576",
                },
                stdin=subprocess.DEVNULL,
                pass_fds=fds,
                # Ctrl-C on a terminal is for the service, which then ends its workers.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    async def answer(self) -> bytes:
        """The worker's next message; raises _WorkerGone."""
        try:
            message = await asyncio.get_running_loop().sock_recv(self._socket, MESSAGE_BYTES)
        except ConnectionError:
            message = b""
        if not message:
            raise _WorkerGone(await self.reap())
        return message

    def ask(self, request: Mapping[str, Any], fds: list[int]) -> None:
        """Start a job; raises ConnectionError when the process is gone."""
        self.jobs += 1
        socket.send_fds(self._socket, [json.dumps(request).encode()], fds)

    def kill(self) -> None:
        """End the process whatever it is doing; `reap` must follow."""
        self._process.kill()
        self._socket.close()
        self.slots = None

    async def reap(self) -> int:
        """Wait for the end of the process; its exit code."""
        return await asyncio.to_thread(self._process.wait)


class WorkerPool:
    """Workers of one kind; an async context manager. Jobs wait in order of arrival.

    `module` is what a worker runs, `arguments` what it is started with, `make_slots` makes the
    memory that it has for good. It inherits nothing from this process's environment; `environment`
    is what it is given. One that ends with the exit code EX_UNAVAILABLE before it is ready is not
    started again.
    """

    def __init__(
        self,
        module: str,
        arguments: Mapping[str, Any],
        *,
        environment: Mapping[str, str] = MappingProxyType({}),
        workers: int,
        cpu_seconds: int,
        jobs_per_worker: int,
        make_slots: Callable[[], FrameSlots | None] = lambda: None,
    ) -> None:
        self._size = workers
        self._module = module
        self._arguments = json.dumps(arguments)
        self._environment = environment
        self._cpu_seconds = cpu_seconds
        self._jobs_per_worker = jobs_per_worker
        self._make_slots = make_slots
        self._idle: list[_Worker] = []
        # An asyncio.Queue would let newcomers overtake.
        self._waiting: deque[asyncio.Future[_Worker]] = deque()
        self._workers: set[_Worker] = set()
        self._starting: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(_START_SECONDS), asyncio.TaskGroup() as group:
                for _ in range(self._size):
                    group.create_task(self._start_worker())
        except BaseException:  # whatever stops the start, the processes must go
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    @property
    def pids(self) -> frozenset[int]:
        """The process ids of the workers alive."""
        return frozenset(worker.pid for worker in self._workers)

    @property
    def has_idle(self) -> bool:
        """Whether a worker could begin at once."""
        return bool(self._idle)

    async def do(
        self,
        request: Mapping[str, Any],
        fds: list[int],
        *,
        frames: FrameOutput | None = None,
        waits: bool = True,
    ) -> Answer:
        """Have a worker do the job, and look at its answer; `frames` is where it leaves pictures.

        Raises a VideoError (CorruptVideo also where the worker died), or DecodeTimeout where the
        worker used up its processor time, where the deadline of the anyio scope around the call
        was over before the job could begin, and at once where no worker is free and it does not
        wait. While a job waits or runs, that scope ends it at the deadline by cancelling; a worker
        that is busy with a cancelled job is killed.
        """
        while True:
            if not waits and not self._idle:
                raise DecodeTimeout("no decode process is free")
            worker = await self._next_idle()
            try:
                if frames is None:
                    worker.ask(request, fds)
                else:
                    where = frames.place(worker.slots)
                    worker.ask({**request, **where.told}, [*fds, *where.fds])
            except ConnectionError:
                # It died while it was idle: nobody's fault, another one does the job.
                self._replace(worker)
            except BaseException:  # whatever it was, the worker did not start the job
                self._free(worker)
                raise
            else:
                return await self._wait_for(worker)

    async def _next_idle(self) -> _Worker:
        loop = asyncio.get_running_loop()
        # the scope cancels nothing before the job waits, which may be after it has begun
        if loop.time() >= anyio.current_effective_deadline():
            raise DecodeTimeout("the deadline was over before decoding could begin")
        if self._idle:
            # The one that worked last: a long video's index then is in one process, not in each.
            return self._idle.pop()
        turn: asyncio.Future[_Worker] = loop.create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except BaseException:  # cancelling above all, or the worker would be lost
            if turn.done() and not turn.cancelled():
                # The worker came in the same moment as the end.
                self._free(turn.result())
            raise

    def _free(self, worker: _Worker) -> None:
        """Hand the worker to the job that has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(worker)
                return
        self._idle.append(worker)

    async def _wait_for(self, worker: _Worker) -> Answer:
        try:
            answer = Answer.parse(await worker.answer())
        except _WorkerGone as error:
            self._replace(worker)
            if error.exit_code == -signal.SIGXCPU:
                raise DecodeTimeout(
                    f"the video needs more than {self._cpu_seconds} s of processor time"
                ) from error
            raise CorruptVideo("the decoder died on this video") from error
        except (
            BaseException
        ):  # cancelling included: the worker is busy with a job that nobody wants
            self._replace(worker)
            raise
        if worker.jobs >= self._jobs_per_worker or answer.worn_out:
            self._replace(worker)
        else:
            self._free(worker)
        if answer.error is not None:
            raise answer.error
        return answer

    def _replace(self, worker: _Worker) -> None:
        worker.kill()
        self._start_aside(instead_of=worker)

    def _start_aside(self, instead_of: _Worker | None = None) -> None:
        task = asyncio.get_running_loop().create_task(self._start_worker(instead_of))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start_worker(self, instead_of: _Worker | None = None) -> None:
        if instead_of is not None:
            await instead_of.reap()
            self._workers.discard(instead_of)
        pause = 0.1
        while not await self._spawn():
            # Out of memory or processes: the queue waits, its deadlines run, this goes on.
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5.0)

    async def _spawn(self) -> bool:
        try:
            worker = self._make_worker()
        except OSError:
            return False
        self._workers.add(worker)
        try:
            await worker.answer()
        except _WorkerGone as error:
            worker.kill()
            self._workers.discard(worker)
            return error.exit_code == os.EX_UNAVAILABLE
        self._free(worker)
        return True

    def _make_worker(self) -> _Worker:
        slots = self._make_slots()
        try:
            return _Worker(self._module, self._arguments, self._environment, slots)
        finally:
            if slots is not None:
                slots.close_file()

    async def _close(self) -> None:
        starting = tuple(self._starting)
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        for worker in self._workers:
            worker.kill()
        await asyncio.gather(*(worker.reap() for worker in self._workers))
        self._workers.clear()
