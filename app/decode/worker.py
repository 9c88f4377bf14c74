"""The decode worker: reads untrusted videos and writes their frames. `DecodePool` runs it.

It has no secrets, limits itself (`app.decode.sandbox`) and never loads torch. Messages are those of
`app.decode.protocol`; frames go into memory that the pool allocated.
"""

import ctypes
import gc
import mmap
import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO, cast

import numpy as np

from app.decode.frame_layout import times_and_frames
from app.decode.protocol import (
    Answer,
    Decode,
    Failure,
    FramesLocated,
    FramesWritten,
    Probe,
    Ready,
    Sample,
    StartDecoding,
    VideoFacts,
    cut_text,
    cut_warnings,
    encode,
)
from app.decode.sandbox import limit_process, limited_job
from app.decode.worker_loop import (
    SharedFile,
    is_worn_out,
    read_arguments,
    receive_jobs,
    resident_bytes,
)
from model import VideoError
from model.cpu.time_slices import use_long_time_slices
from model.video.cost import metered, too_expensive
from model.video.reader import Located, OpenVideo, VideoInfo, VideoLimits, open_video

_REQUESTS: Sequence[type[Probe | Decode | Sample]] = (Probe, Decode, Sample)
# Growth after which free memory, which a long video leaves between used pages, is released.
_MAX_LOOSE_BYTES = 8 << 20


def _answer(
    request: Probe | Decode | Sample, fds: list[int], limits: VideoLimits, kept: memoryview
) -> Answer:
    """Do the job. Raises a VideoError or MemoryError."""
    file = cast("BinaryIO", SharedFile(fds[0]))
    if isinstance(request, Probe):
        with open_video(file, limits) as video:
            return VideoFacts(_info(video))
    offset = request.slot_offset
    memory = _mapped(fds[1]) if offset is None else kept[offset:]
    with open_video(file, limits, threads=request.options.threads) as video:
        return _write_frames(video, request, memory)


def _write_frames(video: OpenVideo, request: Decode | Sample, memory: memoryview) -> Answer:
    if isinstance(request, Sample):
        times = video.times(request.sampling).ravel()
    else:
        times = np.frombuffer(memory, np.float64, request.count).copy()
    options = request.options
    if request.locate and (located := video.locate(times, options.short_side)):
        return _write_times(located, _info(video), memory)
    batch = video.decode(
        times,
        short_side=options.short_side,
        keyframes_only=options.keyframes_only,
        allocate=lambda shape: times_and_frames(memory, shape)[1],
    )
    shape = batch.frames.shape
    times_and_frames(memory, shape)[0][:] = batch.timestamps_seconds
    return FramesWritten(_info(video), shape[1], shape[2], cut_warnings(batch.warnings))


def _write_times(located: Located, info: VideoInfo, memory: memoryview) -> FramesLocated:
    np.frombuffer(memory, np.float64, located.seconds.size)[:] = located.seconds
    return FramesLocated(info, located.stream, located.start_seconds, located.height, located.width)


def _info(video: OpenVideo) -> VideoInfo:
    return replace(video.info, warnings=cut_warnings(video.info.warnings))


def answer_job(
    request: Probe | Decode | Sample, fds: list[int], limits: VideoLimits, kept: memoryview
) -> Answer:
    """Do one job and return its answer, which is a Failure if the video cannot be used.

    `fds` has the video's descriptor, and that of a memory file if the request has no `slot_offset`.
    `kept` is the memory that this worker keeps.
    """
    try:
        return _answer(request, fds, limits, kept)
    except VideoError as error:
        return _failure(error)
    except MemoryError:
        return _failure(too_expensive("memory"))


def _failure(error: VideoError) -> Failure:
    return Failure(error.code, cut_text(str(error)))


def _mapped(fd: int) -> memoryview:
    return memoryview(mmap.mmap(fd, 0))


def _serve(connection: socket.socket, start: StartDecoding, kept: memoryview) -> None:
    limit_process(start.max_memory_bytes)
    use_long_time_slices()
    gc.freeze()
    libc = ctypes.CDLL(None)
    held_bytes = resident_bytes()
    connection.send(encode(Ready()))
    for request, fds in receive_jobs(connection, start.cpu_seconds, _REQUESTS):
        allowed = request.allowance
        with limited_job(allowed.cpu_seconds, allowed.memory_bytes), metered(allowed) as meter:
            answer = answer_job(request, fds, start.limits, kept)
        # frames whose side data was read are in reference cycles: up to 12 MB for each video
        gc.collect()
        answer = replace(
            answer,
            worn_out=is_worn_out(start.max_memory_bytes),
            cpu_seconds=meter.cpu_seconds,
        )
        connection.send(encode(answer))
        if resident_bytes() > held_bytes + _MAX_LOOSE_BYTES:
            libc.malloc_trim(0)
            held_bytes = resident_bytes()


def _main() -> None:
    start, (connection_fd, memory_fd) = read_arguments(StartDecoding)
    kept = _mapped(memory_fd)  # the mapping keeps a descriptor of its own
    os.close(memory_fd)
    with socket.socket(fileno=connection_fd) as connection:
        _serve(connection, start, kept)


if __name__ == "__main__":
    _main()
