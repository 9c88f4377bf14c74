"""Processes that decode hostile videos, and what they are asked to do.

A worker (`app.decode.worker`) is handed the descriptor of a video and of a memory file made here,
writes the frames there and answers on its socket.
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.decode.frame_memory import FrameMemory, FrameOutput, FrameSlots
from app.decode.gpu_pool import GpuDecodePool
from app.decode.protocol import Answer
from app.decode.worker_pool import WorkerPool
from model.video.reader import FrameBatch, VideoInfo, VideoLimits
from model.video.sampling import SamplingConfig


@lru_cache(maxsize=16)
def _fields(sampling: SamplingConfig) -> Mapping[str, Any]:
    return asdict(sampling)


class DecodePool(WorkerPool):
    """Decodes in worker processes; an async context manager. Jobs wait in order of arrival.

    Every method takes a descriptor, which is left as it is. The deadline is that of the anyio scope
    around the call. Raises a VideoError (CorruptVideo also where the worker died on the video) or
    DecodeTimeout. Cancelling a call kills the worker that is busy with it.

    `usual_frames` is how many frames of which short side most jobs ask for.

    With a `gpu` the workers still open every video, judge it and choose the frames, but where they
    find it plain and the GPU is idle, that draws them.
    """

    def __init__(
        self,
        workers: int,
        limits: VideoLimits,
        max_memory_bytes: int = 2 << 30,
        cpu_seconds: int = 60,
        jobs_per_worker: int = 1000,
        gpu: GpuDecodePool | None = None,
        usual_frames: tuple[int, int] = (8, 160),
    ) -> None:
        super().__init__(
            "app.decode.worker",
            {
                "limits": asdict(limits),
                "max_memory_bytes": max_memory_bytes,
                "cpu_seconds": cpu_seconds,
            },
            workers=workers,
            cpu_seconds=cpu_seconds,
            jobs_per_worker=jobs_per_worker,
            make_slots=partial(FrameSlots, *usual_frames),
        )
        self._gpu = gpu

    async def probe(self, fd: int) -> VideoInfo:
        """Facts about the video."""
        answer = await self.do({"job": "probe"}, [fd])
        return answer.facts

    async def decode(
        self,
        fd: int,
        timestamps_seconds: ArrayLike,
        short_side: int,
        *,
        keyframes_only: bool = False,
        threads: int = 1,
    ) -> FrameBatch:
        """The frames shown at these times, as `model.video.reader.decode` gives them."""
        times = np.ascontiguousarray(timestamps_seconds, np.float64)
        if times.size == 0:
            raise ValueError("at least one time is needed")
        request = {
            "job": "decode",
            "count": times.size,
            "short_side": short_side,
            "keyframes_only": keyframes_only,
            "threads": threads,
        }
        _, batch = await self._frames(request, fd, times)
        return batch

    async def sample(
        self,
        fd: int,
        sampling: SamplingConfig,
        short_side: int,
        *,
        keyframes_only: bool = False,
        threads: int = 1,
    ) -> tuple[VideoInfo, FrameBatch]:
        """Probe and decode the frames of all clips of the whole video, opening it once."""
        request = {
            "job": "sample",
            "sampling": _fields(sampling),
            "short_side": short_side,
            "keyframes_only": keyframes_only,
            "threads": threads,
        }
        # the worker chooses the times
        times = np.zeros(sampling.clips * sampling.frames_per_clip)
        answer, batch = await self._frames(request, fd, times)
        return answer.facts, batch

    async def _frames(
        self, request: Mapping[str, Any], fd: int, times: NDArray[np.float64]
    ) -> tuple[Answer, FrameBatch]:
        gpu = self._gpu
        if gpu is not None and gpu.has_idle and not request["keyframes_only"]:
            with FrameMemory(times.size, request["short_side"]) as memory:
                memory.set_times(times)
                found = await self.do({**request, "locate": True}, [fd, memory.fd])
                if found.stream is None:
                    return found, memory.batch(found)
                drawn = await gpu.draw(found, fd, memory)
                if drawn is not None:
                    return found, drawn
        with FrameOutput(times, request["short_side"]) as frames:
            answer = await self.do({**request, "locate": False}, [fd], frames=frames)
            return answer, frames.batch(answer)
