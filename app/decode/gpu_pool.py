"""A process beside a GPU that draws the frames of plain videos."""

from collections.abc import Callable, Mapping
from typing import Self

import anyio

from app.decode.frame_memory import FrameMemory
from app.decode.protocol import Answer
from app.decode.worker_pool import DecodeTimeout, WorkerPool
from model import FrameBatch, VideoError


class GpuDecodePool(WorkerPool):
    """One worker that draws with torchcodec on a device; an async context manager.

    It starts beside the block; where torchcodec does not run it never comes, and `has_idle` stays
    false. `on_failure` is told why a video was not drawn.
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
        super().__init__(
            "app.decode.gpu_worker",
            {"device": device, "cpu_seconds": cpu_seconds},
            environment=environment,
            workers=1,
            cpu_seconds=cpu_seconds,
            jobs_per_worker=jobs_per_worker,
        )
        self._on_failure = on_failure

    async def __aenter__(self) -> Self:
        # nobody waits while it loads torch, or for one that never comes
        self._start_aside()
        return self

    async def draw(self, found: Answer, fd: int, memory: FrameMemory) -> FrameBatch | None:
        """The frames that a limited worker found, whose times it left in the memory.

        None where another decoder must draw them: the GPU is busy, failed, or has taken half of the
        time until the deadline of the anyio scope around the call.
        """
        if not self.has_idle:
            return None
        height, width = found.size
        request = {
            "count": memory.count,
            "stream": found.stream,
            "start_seconds": found.start_seconds,
            "height": height,
            "width": width,
        }
        half = (anyio.current_time() + anyio.current_effective_deadline()) / 2
        try:
            with anyio.fail_after(half - anyio.current_time()):
                return memory.batch(await self.do(request, [fd, memory.fd], waits=False))
        except TimeoutError:
            self._on_failure("half of the time until the deadline was over")
        except (VideoError, DecodeTimeout) as error:
            self._on_failure(str(error))
        return None
