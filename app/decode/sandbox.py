"""Limits that a worker process sets on itself before it reads its first video."""

import ctypes
import math
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What the decoder may exceed its allowance by before the process ends: most videos are given up in
# between, at the next packet.
_GRACE_SECONDS = 0.2
_PR_SET_NO_NEW_PRIVS = 38
_MAX_OPEN_FILES = 32


def limit_process(max_memory_bytes: int) -> None:
    """Limit a decode worker's address space and open files; forbid writes and new privileges."""
    _set_limit(resource.RLIMIT_AS, max_memory_bytes)
    _set_limit(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    _forbid_writes_and_privileges()


def limit_gpu_process() -> None:
    """Forbid a GPU worker to write files and to gain privileges.

    Its address space and open files have no limit: a GPU's driver reserves address space beyond any
    useful limit, and opens files at all times.
    """
    _forbid_writes_and_privileges()


def limit_cpu_time(seconds: int) -> None:
    """End this process with SIGXCPU after this many more seconds of processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = math.ceil(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))


@contextmanager
def limited_job(cpu_seconds: float, memory_bytes: int) -> Iterator[None]:
    """Limit what the block may add to this process's processor time and memory.

    The process ends with SIGPROF when the processor time is over. Allocations beyond
    `memory_bytes` fail.
    """
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds + _GRACE_SECONDS)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_data_bytes() + memory_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
        signal.setitimer(signal.ITIMER_PROF, 0)


def _data_bytes() -> int:
    """Return the size of this process's writable private memory, which RLIMIT_DATA limits."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * resource.getpagesize()


def _forbid_writes_and_privileges() -> None:
    _set_limit(resource.RLIMIT_FSIZE, 0)
    _set_limit(resource.RLIMIT_CORE, 0)
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _set_limit(kind: int, limit: int) -> None:
    resource.setrlimit(kind, (limit, limit))
