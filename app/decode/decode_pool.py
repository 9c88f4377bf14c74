"""Decodes videos in worker processes: takes file descriptors, returns facts and frames."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.decode.budget import VideoBudget
from app.decode.frame_memory import FrameFile, FrameSlot, JobMemory
from app.decode.gpu_pool import GpuDecodePool
from app.decode.protocol import (
    Answer,
    Decode,
    Failure,
    FrameOptions,
    FramesLocated,
    FramesWritten,
    Probe,
    Sample,
    StartDecoding,
    VideoFacts,
)
from app.decode.sandbox.report import Sandbox
from app.decode.wire import ProtocolError
from app.decode.worker_pool import CpuTimeExceeded, DeadlinePassed, WorkerDied, WorkerPool
from app.decode.worker_process import Job
from model import CorruptVideo, KinolexError, PictureTooLarge, VideoError
from model.video.cost import too_expensive
from model.video.reader import FrameBatch, VideoInfo, VideoLimits
from model.video.sampling import SamplingConfig

# Further workers of 45 MB each, for the jobs that would wait behind long ones.
_MAX_SPARES = 4


class DecodeTimeout(KinolexError):
    """The deadline passed before decoding began."""

    code = "deadline_exceeded"


class DecoderDied(CorruptVideo):
    """The worker died on the video, or was killed from outside meanwhile."""


class DecodePool:
    """Decodes videos in worker processes; an async context manager.

    Jobs wait for a worker; those of several clients begin in rotation. Every method takes the
    descriptor `fd` of a video file and does not change its offset. The deadline is that of the
    anyio scope around the call; cancelling a call kills the worker that runs it. Methods raise a
    VideoError (DecoderDied if the worker died on the video, ExpensiveVideo if it costs more than
    its budget), or DecodeTimeout if the deadline passed before the job began.

    A video's budget follows from its size, times `cost_factor`, and no job may use more than
    `cpu_seconds` of processor time. Calls about one video share the `budget` that `budget_of`
    returned; without it, each call has a budget of its own.

    `usual_frames` is the number of frames of a usual job, and their short side in pixels: each
    worker keeps memory for the frames of such a job.

    With a `gpu`, the workers still open and check every video and choose the frames. If the video
    is plain (`model.video.gpu_eligibility`) and the GPU is idle, the GPU renders the frames.
    """

    # One video is decoded, one encoded, and one waits between: with fewer, cores are idle at times.
    VIDEOS_PER_WORKER: ClassVar[int] = 3

    def __init__(
        self,
        workers: int,
        limits: VideoLimits,
        max_memory_bytes: int = 2 << 30,
        cpu_seconds: int = 60,
        jobs_per_worker: int = 1000,
        gpu: GpuDecodePool | None = None,
        usual_frames: tuple[int, int] = (8, 160),
        cost_factor: float = 1.0,
    ) -> None:
        self._workers = WorkerPool(
            "app.decode.worker",
            StartDecoding(limits, max_memory_bytes, cpu_seconds),
            workers=workers,
            jobs_per_worker=jobs_per_worker,
            max_spares=min(workers, _MAX_SPARES),
            make_memory=partial(FrameSlot, *usual_frames),
        )
        self._cpu_seconds = cpu_seconds
        self._cost_factor = cost_factor
        self._gpu = gpu

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
        """The process ids of the running workers."""
        return self._workers.pids

    @property
    def has_idle(self) -> bool:
        """Whether a worker could begin a job at once."""
        return self._workers.has_idle

    @property
    def seconds_without_worker(self) -> float:
        """For how long no worker has been ready, whether idle or busy; 0 if one is."""
        return self._workers.seconds_without_worker

    @property
    def sandbox(self) -> Sandbox:
        """What protects the workers; known once the pool has been entered."""
        assert self._workers.sandbox is not None
        return self._workers.sandbox

    def budget_of(self, fd: int) -> VideoBudget:
        """Return the budget for all calls about the video with this descriptor."""
        return VideoBudget.of(fd, factor=self._cost_factor, max_job_seconds=self._cpu_seconds)

    async def probe(self, fd: int, *, budget: VideoBudget | None = None) -> VideoInfo:
        """Return facts about the video."""
        budget = budget or self.budget_of(fd)
        job = Job(Probe(budget.next_job()), (fd,))
        answer = await self._do(lambda _: job, budget)
        assert isinstance(answer, VideoFacts)
        return answer.info

    async def decode(
        self,
        fd: int,
        timestamps_seconds: ArrayLike,
        short_side: int,
        *,
        keyframes_only: bool = False,
        threads: int = 1,
        budget: VideoBudget | None = None,
    ) -> FrameBatch:
        """Return the frames shown at (T,) times in seconds: uint8 (T, H, W, 3) of this short side.

        Options are those of `model.video.reader.decode`. Raises ValueError for no times.
        """
        times = np.ascontiguousarray(timestamps_seconds, np.float64)
        if times.size == 0:
            raise ValueError("timestamps_seconds is empty: at least one time is needed")
        budget = budget or self.budget_of(fd)
        options = FrameOptions(short_side, keyframes_only, budget.threads(threads))
        request = Decode(times.size, options, allowance=budget.next_job())
        _, batch = await self._frames(request, fd, times, budget)
        return batch

    async def sample(
        self,
        fd: int,
        sampling: SamplingConfig,
        short_side: int,
        *,
        keyframes_only: bool = False,
        threads: int = 1,
        budget: VideoBudget | None = None,
    ) -> tuple[VideoInfo, FrameBatch]:
        """Return facts about the video, and the frames of all clips over its whole length.

        Opens the video only once.
        """
        budget = budget or self.budget_of(fd)
        options = FrameOptions(short_side, keyframes_only, budget.threads(threads))
        # the worker chooses the times
        times = np.zeros(sampling.clips * sampling.frames_per_clip)
        request = Sample(sampling, options, allowance=budget.next_job())
        return await self._frames(request, fd, times, budget)

    async def _frames(
        self, request: Decode | Sample, fd: int, times: NDArray[np.float64], budget: VideoBudget
    ) -> tuple[VideoInfo, FrameBatch]:
        if self._gpu is not None and self._gpu.has_idle and not request.options.keyframes_only:
            rendered = await self._frames_by_gpu(self._gpu, request, fd, times, budget)
            if rendered is not None:
                return rendered
        with JobMemory(times, request.options.short_side) as memory:

            def make_job(slot: FrameSlot | None) -> Job:
                where = memory.allocate(slot)
                return Job(replace(request, in_kept_memory=where.in_kept_memory), (fd, *where.fds))

            answer = await self._do(make_job, budget)
            assert isinstance(answer, FramesWritten)
            # no `await` before the copy: the worker's next job uses the same memory
            return answer.info, _written(answer, memory)

    async def _frames_by_gpu(
        self,
        gpu: GpuDecodePool,
        request: Decode | Sample,
        fd: int,
        times: NDArray[np.float64],
        budget: VideoBudget,
    ) -> tuple[VideoInfo, FrameBatch] | None:
        """Return frames from the GPU, or from a decode worker if the video is not plain.

        None if the GPU could not render them.
        """
        with FrameFile(times, request.options.short_side) as memory:
            job = Job(replace(request, locate=True), (fd, memory.fd))
            answer = await self._do(lambda _: job, budget)
            if isinstance(answer, FramesWritten):
                return answer.info, _written(answer, memory)
            assert isinstance(answer, FramesLocated)
            batch = await gpu.render(answer, times.size, fd, memory)
            return None if batch is None else (answer.info, batch)

    async def _do(self, make_job: Callable[[FrameSlot | None], Job], budget: VideoBudget) -> Answer:
        try:
            answer = await self._workers.do(make_job)
        except WorkerDied as error:
            raise DecoderDied("the decoder died on this video") from error
        except CpuTimeExceeded as error:
            budget.spend(budget.next_job().cpu_seconds)
            raise too_expensive("processor time") from error
        except DeadlinePassed as error:
            raise DecodeTimeout("the deadline was over before decoding could begin") from error
        budget.spend(answer.cpu_seconds)
        if isinstance(answer, Failure):
            raise _with_setting(answer.to_error())
        return answer


def _written(answer: FramesWritten, memory: FrameFile | JobMemory) -> FrameBatch:
    try:
        return memory.batch(answer.height, answer.width, answer.warnings)
    except ProtocolError as error:
        raise DecoderDied("the decoder died on this video") from error


def _with_setting(error: VideoError) -> VideoError:
    """Name the setting in the text of an error about a limit that may be raised."""
    if isinstance(error, PictureTooLarge):
        return PictureTooLarge(f"{error} (setting KINOLEX_MAX_PIXELS)")
    return error
