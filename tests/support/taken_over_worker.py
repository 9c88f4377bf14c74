"""A decode worker that some videos take over: it runs them as Python, confined as every worker is.

A video that begins with MARK is a program; its answer is a Failure whose message begins with "got"
or "refused" and tells what the program left in `result`, or how it failed. Other videos are
decoded. The program finds in its scope what it cannot import any more.
"""

import ctypes
import fcntl
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys

from app.decode import worker
from app.decode.protocol import Answer, Decode, Failure, Probe, Sample, cut_text
from app.decode.sandbox.file_size import size_of
from model.video.reader import VideoLimits

MARK = b"TAKE OVER\n"
_LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: int | bytes | None) -> int:
    """Call a function of the C library. Raises OSError as it reports an error."""
    return _checked(getattr(_LIBC, name)(*map(_wide, arguments)))


def system_call(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call by its number. Raises OSError."""
    return _checked(_LIBC.syscall(ctypes.c_long(number), *map(_wide, arguments)))


def _wide(argument: int | bytes | None) -> ctypes.c_long | bytes | None:
    return ctypes.c_long(argument) if isinstance(argument, int) else argument


def _checked(result: int) -> int:
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


_SCOPE = {
    "call": call,
    "fcntl": fcntl,
    "main": sys.modules["__main__"],
    "mmap": mmap,
    "os": os,
    "resource": resource,
    "signal": signal,
    "socket": socket,
    "subprocess": subprocess,
    "system_call": system_call,
}


def answer_job(
    request: Probe | Decode | Sample, fds: list[int], limits: VideoLimits, kept: memoryview
) -> Answer:
    code = os.pread(fds[0], size_of(fds[0]), 0)
    if not code.startswith(MARK):
        return decode(request, fds, limits, kept)
    scope = {**_SCOPE, "fds": fds, "kept": kept, "result": None}
    try:
        exec(code.removeprefix(MARK), scope)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the program did not get through
        return Failure("corrupt", cut_text(f"refused: {error!r}"))
    return Failure("corrupt", cut_text(f"got: {scope['result']!r}"))


# what a taken over worker replaces to change the answers to later videos
decode = worker.answer_job


if __name__ == "__main__":
    worker.main(answer_job)
