"""Processes that decode hostile videos, and what they are asked to do.

A worker (`app.decode_worker`) is handed the descriptor of a video and of a memory file made here,
writes the frames there and answers on its socket.
"""

from dataclasses import asdict

import numpy as np
from numpy.typing import ArrayLike

from app.frame_memory import FrameMemory
from app.worker_pool import WorkerPool
from model.sampling import SamplingConfig
from model.video import FrameBatch, VideoInfo, VideoLimits


class DecodePool(WorkerPool):
    """Decodes in worker processes; an async context manager. Jobs wait in order of arrival.

    Every method takes a descriptor, which is left as it is, and a deadline on the clock of the
    event loop. Raises a VideoError (CorruptVideo also where the worker died on the video) or
    DecodeTimeout. Cancelling a call kills the worker that is busy with it.
    """

    def __init__(
        self,
        workers: int,
        limits: VideoLimits,
        max_memory_bytes: int = 2 << 30,
        cpu_seconds: int = 60,
        jobs_per_worker: int = 1000,
    ) -> None:
        super().__init__(
            "app.decode_worker",
            {
                "limits": asdict(limits),
                "max_memory_bytes": max_memory_bytes,
                "cpu_seconds": cpu_seconds,
            },
            workers=workers,
            cpu_seconds=cpu_seconds,
            jobs_per_worker=jobs_per_worker,
        )

    async def probe(self, fd: int, deadline: float) -> VideoInfo:
        """Facts about the video."""
        answer = await self.do({"job": "probe"}, [fd], deadline)
        return answer.facts

    async def decode(
        self,
        fd: int,
        timestamps_seconds: ArrayLike,
        short_side: int,
        deadline: float,
        *,
        keyframes_only: bool = False,
        threads: int = 1,
    ) -> FrameBatch:
        """The frames shown at these times, as `model.video.decode` gives them."""
        times = np.ascontiguousarray(timestamps_seconds, np.float64)
        if times.size == 0:
            raise ValueError("at least one time is needed")
        with FrameMemory(times.size, short_side) as memory:
            memory.set_times(times)
            request = {
                "job": "decode",
                "count": times.size,
                "short_side": short_side,
                "keyframes_only": keyframes_only,
                "threads": threads,
            }
            answer = await self.do(request, [fd, memory.fd], deadline)
            return memory.batch(answer)

    async def sample(
        self,
        fd: int,
        sampling: SamplingConfig,
        short_side: int,
        deadline: float,
        *,
        keyframes_only: bool = False,
        threads: int = 1,
    ) -> tuple[VideoInfo, FrameBatch]:
        """Probe and decode the frames of all clips of the whole video, opening it once."""
        count = sampling.clips * sampling.frames_per_clip
        with FrameMemory(count, short_side) as memory:
            request = {
                "job": "sample",
                "sampling": asdict(sampling),
                "short_side": short_side,
                "keyframes_only": keyframes_only,
                "threads": threads,
            }
            answer = await self.do(request, [fd, memory.fd], deadline)
            return answer.facts, memory.batch(answer)
