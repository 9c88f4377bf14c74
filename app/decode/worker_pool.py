"""A pool of limited processes that do one job at a time, and are replaced when they end.

A worker is a new Python process that receives jobs with descriptors on a socket and answers there.
If a worker ends or breaks the protocol, only its job fails. The pool kills it, as it does when the
job is cancelled, and starts another one.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Generic, Self, TypeVar

import anyio

from app.decode.protocol import Answer, Request, Start, parse_answer, parse_ready
from app.decode.running_jobs import RunningJobs
from app.decode.sandbox.report import Sandbox
from app.decode.wire import ProtocolError
from app.decode.worker_process import Job, WorkerExited, WorkerMemory, WorkerProcess
from app.fairness.fair_queue import FairQueue
from app.fairness.requesters import current_requester
from model import KinolexError

_Memory = TypeVar("_Memory", bound=WorkerMemory)
# How often jobs that wait look for a place that a long job has given back.
_POLL_SECONDS = 0.1
# A worker that is not ready by then hangs, or the computer is busy: the next one gets more time.
_START_SECONDS = 30.0
_MAX_START_SECONDS = 600.0
# Time for all workers at the start of the service.
_FIRST_START_SECONDS = 120.0
# Pauses between two attempts to start a worker when memory or processes have run out.
_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 5.0
# Exit codes of a worker that would end in the same way again.
_OUT_OF_CPU_TIME = {-signal.SIGPROF, -signal.SIGXCPU}
_USELESS_TO_RESTART = {os.EX_UNAVAILABLE, os.EX_PROTOCOL}


class WorkersNotStarted(KinolexError):
    """No worker could be started when the service started."""

    code = "workers_not_started"


class WorkerDied(Exception):
    """The worker ended during the job, or sent a message that the protocol does not allow."""


class CpuTimeExceeded(Exception):
    """The job used up the processor time that one job may use."""


class DeadlinePassed(Exception):
    """The deadline passed before the job began."""


class NoIdleWorker(Exception):
    """All workers are busy, and the caller does not want to wait."""


class WorkerPool(Generic[_Memory]):
    """Workers of one kind; an async context manager. Clients' jobs begin in rotation.

    `module` is the program of a worker, and `start` the message that it is started with. It
    inherits no environment variables; `environment` holds the ones that it receives. It is replaced
    after `jobs_per_worker` jobs. `make_memory` makes the memory that each worker keeps. A worker
    that ends with EX_UNAVAILABLE before it is ready, or has another protocol version, is not
    started again. One that is not ready after `start_seconds` is killed, and another is started.
    Entering the pool waits until all workers are ready, and raises WorkersNotStarted if none can
    start, or not all in two minutes; with `in_background` it does not wait.
    `sandbox` is what the worker that became ready last reported.

    A long job gives its place back: while jobs wait, up to `max_spares` further workers are started
    for them. The operating system then divides the cores among all.
    """

    def __init__(
        self,
        module: str,
        start: Start,
        *,
        workers: int,
        jobs_per_worker: int,
        environment: Mapping[str, str] = MappingProxyType({}),
        make_memory: Callable[[], _Memory | None] = lambda: None,
        in_background: bool = False,
        max_spares: int = 0,
        start_seconds: float = _START_SECONDS,
    ) -> None:
        self._module = module
        self._start = start
        self._size = workers
        self._jobs_per_worker = jobs_per_worker
        self._environment = environment
        self._make_memory = make_memory
        self._in_background = in_background
        self._idle: list[WorkerProcess[_Memory]] = []
        self._running: RunningJobs[WorkerProcess[_Memory]] = RunningJobs(workers)
        # An asyncio.Queue would let a new job overtake those that wait.
        self._waiting: FairQueue[asyncio.Future[WorkerProcess[_Memory]]] = FairQueue()
        self._poll: asyncio.TimerHandle | None = None
        self._spares_left = max_spares
        self._start_seconds = start_seconds
        self._workers: set[WorkerProcess[_Memory]] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._replaced_at = 0.0
        self.sandbox: Sandbox | None = None

    async def __aenter__(self) -> Self:
        if self._in_background:
            for _ in range(self._size):
                self._start_in_background()
            return self
        try:
            async with asyncio.timeout(_FIRST_START_SECONDS), asyncio.TaskGroup() as group:
                for _ in range(self._size):
                    group.create_task(self._start_worker())
            if not self._workers:
                raise WorkersNotStarted(
                    f"no worker of {self._module} can be started; see its output"
                )
        except TimeoutError as error:
            await self._close()
            raise WorkersNotStarted(
                f"workers of {self._module} are not ready after {_FIRST_START_SECONDS:g} s"
            ) from error
        except BaseException:  # cancelled too: the processes must end
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
        """The process ids of the running workers."""
        return frozenset(worker.pid for worker in self._workers)

    @property
    def has_idle(self) -> bool:
        """Whether a worker could begin a job at once."""
        return bool(self._idle) and self._running.has_place

    @property
    def seconds_without_worker(self) -> float:
        """For how long no worker has been ready, whether idle or busy; 0 if one is."""
        if self._idle or self._running:
            return 0.0
        return asyncio.get_running_loop().time() - self._replaced_at

    async def do(self, make_job: Callable[[_Memory | None], Job], *, waits: bool = True) -> Answer:
        """Run a job in a worker and return the checked answer.

        `make_job` is called with the memory of the worker that was chosen, possibly several times.
        The deadline is that of the anyio scope around the call: it cancels a job that waits or
        runs, and the pool kills a worker whose job is cancelled. Raises DeadlinePassed if the
        deadline had passed before the job began, WorkerDied, CpuTimeExceeded, and NoIdleWorker if
        no worker is idle and `waits` is False.
        """
        while True:
            if not waits and not self.has_idle:
                raise NoIdleWorker("no worker is idle")
            worker = await self._next_idle()
            try:
                job = make_job(worker.memory)
                worker.send(job)
            except ConnectionError:
                # The worker ended while it was idle, so not because of this job: use another one.
                self._replace(worker)
            except BaseException:  # cancelled too: the worker did not begin the job
                self._release(worker)
                raise
            else:
                return await self._answer(worker, job.request)

    async def _next_idle(self) -> WorkerProcess[_Memory]:
        loop = asyncio.get_running_loop()
        # The scope cancels only at the next `await`, when the job would already have begun.
        if loop.time() >= anyio.current_effective_deadline():
            raise DeadlinePassed("the deadline was over before the job began")
        if self.has_idle:
            return self._take_idle()
        waiter: asyncio.Future[WorkerProcess[_Memory]] = loop.create_future()
        self._waiting.push(waiter, current_requester())
        self._poll_soon()
        try:
            return await waiter
        except BaseException:  # cancelled at the moment in which a worker became free
            if waiter.done() and not waiter.cancelled():
                self._release(waiter.result())
            raise

    def _take_idle(self) -> WorkerProcess[_Memory]:
        # The worker that was used last: the index of a long video is then in one process only.
        worker = self._idle.pop()
        self._running.begin(worker)
        return worker

    def _release(self, worker: WorkerProcess[_Memory]) -> None:
        """Make the worker idle, and start the jobs that wait."""
        self._running.end(worker)
        self._idle.append(worker)
        self._start_waiting()

    def _start_waiting(self) -> None:
        """Give idle workers to the jobs that wait, to each client in turn."""
        while self._waiting and self.has_idle:
            waiter = self._waiting.pop()
            if not waiter.done():
                waiter.set_result(self._take_idle())
        if not self._waiting:
            return
        are_all_running = not self._idle and not self._starting
        if are_all_running and self._running.has_place and self._spares_left:
            self._spares_left -= 1
            self._start_in_background()
        self._poll_soon()

    def _poll_soon(self) -> None:
        def poll() -> None:
            self._poll = None
            self._start_waiting()

        if self._poll is None:
            self._poll = asyncio.get_running_loop().call_later(_POLL_SECONDS, poll)

    async def _answer(self, worker: WorkerProcess[_Memory], request: Request) -> Answer:
        try:
            answer = parse_answer(await worker.receive(), request)
        except BaseException as error:  # cancelled too: the worker is busy with an unwanted job
            self._replace(worker)
            if isinstance(error, WorkerExited) and error.exit_code in _OUT_OF_CPU_TIME:
                raise CpuTimeExceeded("the job needs too much processor time") from error
            if isinstance(error, WorkerExited | ProtocolError):
                raise WorkerDied(f"the worker died: {error}") from error
            raise
        if worker.jobs >= self._jobs_per_worker or answer.worn_out:
            self._replace(worker)
        else:
            self._release(worker)
        return answer

    def _replace(self, worker: WorkerProcess[_Memory]) -> None:
        self._running.end(worker)
        worker.kill()
        self._replaced_at = asyncio.get_running_loop().time()
        self._start_in_background(after=worker)

    def _start_in_background(self, after: WorkerProcess[_Memory] | None = None) -> None:
        task = asyncio.get_running_loop().create_task(self._start_worker(after))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start_worker(self, after: WorkerProcess[_Memory] | None = None) -> None:
        if after is not None:
            await after.wait()
            self._workers.discard(after)
        pause, patience = _FIRST_PAUSE_SECONDS, self._start_seconds
        while not await self._try_to_start(patience):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)
            patience = min(2 * patience, _MAX_START_SECONDS)

    async def _try_to_start(self, patience: float) -> bool:
        """Start a worker; return False if another attempt is useful.

        The worker is killed if it is not ready after `patience` seconds.
        """
        try:
            worker = self._make_worker()
        except OSError:
            return False
        self._workers.add(worker)
        try:
            async with asyncio.timeout(patience):
                self.sandbox = parse_ready(await worker.receive()).sandbox
        except (WorkerExited, ProtocolError, TimeoutError) as error:
            worker.kill()
            exit_code = await worker.wait()
            self._workers.discard(worker)
            return isinstance(error, ProtocolError) or exit_code in _USELESS_TO_RESTART
        self._release(worker)
        return True

    def _make_worker(self) -> WorkerProcess[_Memory]:
        memory = self._make_memory()
        try:
            return WorkerProcess(self._module, self._start, self._environment, memory)
        finally:
            if memory is not None:
                memory.close_file()

    async def _close(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
        starting = tuple(self._starting)
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        for worker in self._workers:
            worker.kill()
        await asyncio.gather(*(worker.wait() for worker in self._workers))
        self._workers.clear()
