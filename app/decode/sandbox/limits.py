"""Resource limits that a worker process sets on itself."""

import math
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

# What the decoder may exceed its allowance by before the process ends: most videos are given up in
# between, at the next packet.
_GRACE_SECONDS = 0.15
_MAX_OPEN_FILES = 32
# The kernel counts all threads of the user, those of the service and of other programs too. The
# limit only ends a flood of threads; seccomp refuses new processes.
_MAX_THREADS_OF_USER = 8192


def limit_decode_worker(max_memory_bytes: int) -> None:
    """Limit the address space, open files and threads of a decode worker; forbid file writes."""
    _set_limit(resource.RLIMIT_AS, max_memory_bytes)
    _set_limit(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    _set_limit(resource.RLIMIT_NPROC, _MAX_THREADS_OF_USER)
    forbid_file_writes()


def forbid_file_writes() -> None:
    """Make writing to a file end the process, and leave no core file."""
    _set_limit(resource.RLIMIT_FSIZE, 0)
    _set_limit(resource.RLIMIT_CORE, 0)


def limit_cpu_time(seconds: int) -> None:
    """End this process with SIGXCPU after this many more seconds of processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    end = math.ceil(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (end, resource.RLIM_INFINITY))


@contextmanager
def limited_job(cpu_seconds: float, data_bytes: int) -> Iterator[None]:
    """Limit what the block may add to this process's processor time, and its private memory.

    The process ends with SIGPROF when the processor time is over. Allocations beyond `data_bytes`
    in all (`MemoryGauge.data_bytes`) fail.
    """
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds + _GRACE_SECONDS)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
        signal.setitimer(signal.ITIMER_PROF, 0)


def _set_limit(kind: int, limit: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(kind, (limit, limit))
