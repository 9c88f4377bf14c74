"""The decode worker: reads untrusted videos and writes their frames. `DecodePool` runs it.

It has no secrets, confines itself (`app.decode.sandbox`) and never loads torch. Messages are those
of `app.decode.protocol`; frames go into memory that the pool allocated.
"""

import ctypes
import gc
import mmap
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import BinaryIO, TypeAlias, cast

# PyAV and NumPy import these at their first use, when no file can be opened any more.
import av.subtitles.codeccontext
import av.subtitles.stream  # noqa: F401  # imported for PyAV, see above
import numpy as np
import numpy.ma

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
from app.decode.sandbox.confinement import confine_decode_worker
from app.decode.sandbox.file_size import size_of
from app.decode.sandbox.limits import limited_job
from app.decode.sandbox.memory_gauge import MemoryGauge
from app.decode.worker_loop import SharedFile, read_arguments, receive_jobs
from model import VideoError
from model.cpu.time_slices import use_long_time_slices
from model.video.cost import metered, too_expensive
from model.video.reader import AnyVideo, Located, VideoInfo, VideoLimits, open_video

# Takes a request, its descriptors, the limits of a video, and the memory that the worker keeps.
AnswerJob: TypeAlias = Callable[
    [Probe | Decode | Sample, list[int], VideoLimits, memoryview], Answer
]
_REQUESTS: Sequence[type[Probe | Decode | Sample]] = (Probe, Decode, Sample)
# Growth after which free memory, which a long video leaves between used pages, is released.
_MAX_LOOSE_BYTES = 8 << 20
# A worker that holds more than this share of its memory limit asks to be replaced.
_WORN_OUT_SHARE = 4
# Memory that jobs left, also what is free in between; a worker with more asks the same.
_MAX_LEFT_BYTES = 48 << 20


def _answer(
    request: Probe | Decode | Sample, fds: list[int], limits: VideoLimits, kept: memoryview
) -> Answer:
    """Do the job. Raises a VideoError or MemoryError."""
    file = cast("BinaryIO", SharedFile(fds[0]))
    if isinstance(request, Probe):
        with open_video(file, limits) as video:
            return VideoFacts(_info(video))
    memory = kept if request.in_kept_memory else _mapped(fds[1])
    with open_video(file, limits, threads=request.options.threads) as video:
        return _write_frames(video, request, memory)


def _write_frames(video: AnyVideo, request: Decode | Sample, memory: memoryview) -> Answer:
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


def _info(video: AnyVideo) -> VideoInfo:
    return replace(video.info, warnings=cut_warnings(video.info.warnings))


def answer_job(
    request: Probe | Decode | Sample, fds: list[int], limits: VideoLimits, kept: memoryview
) -> Answer:
    """Do one job and return its answer, which is a Failure if the video cannot be used.

    `fds` has the video's descriptor, and that of a memory file if the frames do not go into `kept`,
    the memory that this worker keeps. Nothing maps the memory file any more at the return.
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
    return memoryview(mmap.mmap(fd, size_of(fd)))


def _serve(
    connection: socket.socket, start: StartDecoding, kept: memoryview, answer_job: AnswerJob
) -> None:
    use_long_time_slices()
    gc.freeze()
    libc = ctypes.CDLL(None)
    gauge = MemoryGauge()
    sandbox = confine_decode_worker(start.max_memory_bytes)
    held_bytes = gauge.resident_bytes()
    # What earlier jobs left counts as the next one's, so that all together have the allowance.
    first_data_bytes = gauge.data_bytes()
    connection.send(encode(Ready(sandbox=sandbox)))
    for request, fds in receive_jobs(connection, start.cpu_seconds, _REQUESTS):
        allowed = request.allowance
        limited = limited_job(allowed.cpu_seconds, first_data_bytes + allowed.memory_bytes)
        with limited, metered(allowed) as meter:
            answer = answer_job(request, fds, start.limits, kept)
        # frames whose side data was read are in reference cycles: up to 12 MB for each video
        gc.collect()
        answer = replace(
            answer,
            worn_out=gauge.resident_bytes() > start.max_memory_bytes // _WORN_OUT_SHARE
            or gauge.data_bytes() > first_data_bytes + _MAX_LEFT_BYTES,
            cpu_seconds=meter.cpu_seconds,
        )
        connection.send(encode(answer))
        if gauge.resident_bytes() > held_bytes + _MAX_LOOSE_BYTES:
            libc.malloc_trim(0)
            held_bytes = gauge.resident_bytes()


def main(answer_job: AnswerJob = answer_job) -> None:
    """Run the program; `answer_job` does a job, confined and limited."""
    start, (connection_fd, memory_fd) = read_arguments(StartDecoding)
    kept = _mapped(memory_fd)  # the mapping keeps a descriptor of its own
    os.close(memory_fd)
    with socket.socket(fileno=connection_fd) as connection:
        _serve(connection, start, kept, answer_job)


if __name__ == "__main__":
    main()
