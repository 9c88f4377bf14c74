"""A pool of one GPU worker, which renders the frames of plain videos."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import anyio

from app.decode.frame_memory import FrameFile, FrameSlot
from app.decode.protocol import Failure, FramesLocated, Render, StartRendering
from app.decode.wire import ProtocolError
from app.decode.worker_pool import (
    CpuTimeExceeded,
    DeadlinePassed,
    NoIdleWorker,
    WorkerDied,
    WorkerPool,
)
from app.decode.worker_process import Job
from model import FrameBatch

_NOT_RENDERED = (WorkerDied, CpuTimeExceeded, DeadlinePassed, NoIdleWorker, ProtocolError)


class GpuDecodePool:
    """One worker that decodes with torchcodec on a device; an async context manager.

    The worker starts in the background; if torchcodec cannot run, it never becomes ready and
    `has_idle` stays false. `environment` holds the worker's variables. `on_failure` is called with
    the reason each time a video could not be rendered.
    """

    def __init__(
        self,
        device: str = "cuda",
        *,
        environment: Mapping[str, str],
        on_failure: Callable[[str], None],
        cpu_seconds: int = 60,
        jobs_per_worker: int = 1000,
    ) -> None:
        self._workers = WorkerPool[FrameSlot](
            "app.decode.gpu_worker",
            StartRendering(device, cpu_seconds),
            environment=environment,
            workers=1,
            jobs_per_worker=jobs_per_worker,
            in_background=True,
        )
        self._on_failure = on_failure

    async def __aenter__(self) -> Self:
        await self._workers.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._workers.__aexit__(kind, error, traceback)

    @property
    def pids(self) -> frozenset[int]:
        """The process id of the worker; empty if it does not run."""
        return self._workers.pids

    @property
    def has_idle(self) -> bool:
        """Whether the worker could begin a job at once."""
        return self._workers.has_idle

    async def render(
        self, located: FramesLocated, count: int, fd: int, memory: FrameFile
    ) -> FrameBatch | None:
        """Render `count` frames that a decode worker located; `memory` holds their times.

        Returns None if another decoder must render them: the worker is busy, failed, or used half
        of the time until the deadline of the anyio scope around the call.
        """
        if not self.has_idle:
            return None
        height, width = located.height, located.width
        request = Render(count, located.stream, located.start_seconds, height, width)
        half = (anyio.current_effective_deadline() - anyio.current_time()) / 2
        try:
            with anyio.fail_after(half):
                job = Job(request, (fd, memory.fd))
                answer = await self._workers.do(lambda _: job, waits=False)
            if not isinstance(answer, Failure):
                return memory.batch(height, width)
            self._on_failure(answer.message)
        except TimeoutError:
            self._on_failure("half of the time until the deadline was over")
        except _NOT_RENDERED as error:
            self._on_failure(str(error))
        return None
