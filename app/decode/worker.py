"""One decode process: hostile videos in, frames out. Run by the pool, which gives it a socket.

It holds no secret, writes no file, opens few, cannot grow beyond its memory and never loads
torch. It reads requests as JSON with descriptors attached, and answers with one JSON message
each; the frames go into a memory file that the pool made.
"""

import ctypes
import gc
import json
import math
import mmap
import os
import resource
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from model import CorruptVideo, VideoError
from model.cpu.time_slices import use_long_time_slices
from model.video.reader import Located, VideoLimits, open_video
from model.video.sampling import SamplingConfig

MESSAGE_BYTES = 1 << 16
READY = b"ready"
# A memory file holds the times and, from a page border on, the frames.
_PAGE = mmap.ALLOCATIONGRANULARITY
_OPEN_FILES = 32
PR_SET_NO_NEW_PRIVS = 38
# Free memory between what stays, as the turns of a long video leave it, is given back beyond this.
_LOOSE_BYTES = 8 << 20


def frames_start(count: int) -> int:
    return -(-count * 8 // _PAGE) * _PAGE


def views(
    memory: mmap.mmap | memoryview | NDArray[np.uint8], shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """The times (T,) and frames (T, H, W, 3) inside a mapped memory file."""
    times = np.frombuffer(memory, np.float64, shape[0])
    frames = np.frombuffer(memory, np.uint8, math.prod(shape), offset=frames_start(shape[0]))
    return times, frames.reshape(shape)


class SharedFile:
    """Reads a descriptor by position: its offset is shared with other processes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        end = os.fstat(self._fd).st_size
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence, end)
        return self._position

    def read(self, size: int) -> bytes:
        chunk = os.pread(self._fd, size, self._position)
        self._position += len(chunk)
        return chunk


def _restrict(max_memory_bytes: int) -> None:
    """Nothing to write, few files to open, no privileges to gain, and an end to memory."""
    for kind, limit in (
        (resource.RLIMIT_AS, max_memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _limit_processor_time(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = math.ceil(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def is_worn_out(max_memory_bytes: int) -> bool:
    """Whether the process has grown so much that a fresh one is better."""
    return _resident_bytes() > max_memory_bytes // 4


def _work(
    request: Mapping[str, Any], fds: list[int], limits: VideoLimits, slots: memoryview
) -> dict[str, Any]:
    file = cast("BinaryIO", SharedFile(fds[0]))
    with open_video(file, limits, threads=request.get("threads", 1)) as video:
        answer: dict[str, Any] = {"info": asdict(video.info)}
        if request["job"] == "probe":
            return {**answer, "height": 0, "width": 0, "warnings": []}
        memory = slots[request["place"] :] if "place" in request else _mapped(fds[1])
        if request["job"] == "sample":
            times = video.times(SamplingConfig(**request["sampling"])).ravel()
        else:
            times = np.frombuffer(memory, np.float64, request["count"]).copy()
        if request["locate"] and (found := video.locate(times, request["short_side"])):
            return {**answer, **_hand_over(found, memory)}
        batch = video.decode(
            times,
            short_side=request["short_side"],
            keyframes_only=request["keyframes_only"],
            allocate=lambda shape: views(memory, shape)[1],
        )
        shape = batch.frames.shape
        views(memory, shape)[0][:] = batch.timestamps_seconds
        return {**answer, "height": shape[1], "width": shape[2], "warnings": batch.warnings}


def _hand_over(located: Located, memory: memoryview) -> dict[str, Any]:
    """What the process beside a GPU needs to draw the frames; their times stay in the memory."""
    np.frombuffer(memory, np.float64, located.seconds.size)[:] = located.seconds
    return {
        "stream": located.stream,
        "start_seconds": located.start_seconds,
        "height": located.height,
        "width": located.width,
        "warnings": [],
    }


def _mapped(fd: int) -> memoryview:
    return memoryview(mmap.mmap(fd, 0))


def jobs(
    connection: socket.socket, cpu_seconds: int
) -> Iterator[tuple[Mapping[str, Any], list[int]]]:
    """What the pool asks for, until it is gone: the request, and descriptors for that time only.

    Each job may use so much processor time.
    """
    while True:
        message, fds, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, 2)
        if not message:
            return
        _limit_processor_time(cpu_seconds)
        yield json.loads(message), fds
        for fd in fds:
            os.close(fd)


def _serve(connection: socket.socket, arguments: Mapping[str, Any], slots: memoryview) -> None:
    limits = VideoLimits(**arguments["limits"])
    _restrict(arguments["max_memory_bytes"])
    use_long_time_slices()
    gc.freeze()
    libc = ctypes.CDLL(None)
    held_bytes = _resident_bytes()
    connection.send(READY)
    for request, fds in jobs(connection, arguments["cpu_seconds"]):
        try:
            answer = _work(request, fds, limits, slots)
        except VideoError as error:
            answer = {"code": error.code, "message": str(error)}
        except MemoryError:
            answer = {"code": CorruptVideo.code, "message": "the video needs too much memory"}
        # a frame whose side data was looked at lies in a cycle: up to 12 MB of each video
        gc.collect()
        answer["worn_out"] = is_worn_out(arguments["max_memory_bytes"])
        connection.send(json.dumps(answer).encode())
        if _resident_bytes() > held_bytes + _LOOSE_BYTES:
            libc.malloc_trim(0)
            held_bytes = _resident_bytes()


if __name__ == "__main__":
    connection_fd, slots_fd = map(int, sys.argv[2:])
    slots_of_this_worker = _mapped(slots_fd)  # which keeps a descriptor of its own
    os.close(slots_fd)
    with socket.socket(fileno=connection_fd) as parent:
        _serve(parent, json.loads(sys.argv[1]), slots_of_this_worker)
