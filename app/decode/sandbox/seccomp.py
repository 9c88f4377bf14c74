"""A seccomp filter that allows a decode worker's system calls and refuses all others.

The filter is a program of classic BPF that the kernel runs at each system call (seccomp(2) and
linux/seccomp.h, linux/filter.h, linux/audit.h). A refused call fails with EPERM; a call of another
architecture ends the process.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

# AUDIT_ARCH_ of linux/audit.h
_ARCHITECTURES = MappingProxyType({"x86_64": 0xC000003E, "aarch64": 0xC00000B7})

# Numbers of system calls: x86-64 (asm/unistd_64.h) and aarch64 (asm-generic/unistd.h).
# Memory, threads and time; the video's bytes; messages on the socket that the worker has.
_ALLOWED: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "brk": (12, 214),
        "clock_gettime": (228, 113),
        "clock_nanosleep": (230, 115),
        "close": (3, 57),
        "exit": (60, 93),
        "exit_group": (231, 94),
        "fstat": (5, 80),
        "futex": (202, 98),
        "getpid": (39, 172),
        "getrandom": (318, 278),
        "getrusage": (98, 165),
        "gettid": (186, 178),
        "gettimeofday": (96, 169),
        "lseek": (8, 62),
        "madvise": (28, 233),
        "mremap": (25, 216),
        "munmap": (11, 215),
        "nanosleep": (35, 101),
        "pread64": (17, 67),
        "recvmsg": (47, 212),
        "restart_syscall": (219, 128),
        "rseq": (334, 293),
        "rt_sigaction": (13, 134),
        "rt_sigprocmask": (14, 135),
        "rt_sigreturn": (15, 139),
        "sched_yield": (24, 124),
        "sendto": (44, 206),
        "set_robust_list": (273, 99),
        "setitimer": (38, 103),
        "sigaltstack": (131, 132),
    }
)
# of fstat(2) itself, on each architecture
FSTAT: Mapping[str, int] = MappingProxyType(
    dict(zip(_ARCHITECTURES, _ALLOWED["fstat"], strict=True))
)


@dataclass(frozen=True, slots=True)
class _Condition:
    """Allows a system call whose argument (from 0), masked, has this value."""

    numbers: tuple[int, int]
    argument: int
    mask: int
    value: int


_PROT_EXEC = 0x4
_CLONE_THREAD = 0x00010000
# CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET; CLONE_PTRACE, UNTRACED
_CLONE_FORBIDDEN = 0x80 | 0x00020000 | 0x7E000000 | 0x00002000 | 0x00800000
_F_DUPFD_CLOEXEC = 1030
_WHOLE = 0xFFFFFFFF

_CONDITIONS: Mapping[str, _Condition] = MappingProxyType(
    {
        # no memory that can be executed
        "mmap": _Condition((9, 222), 2, _PROT_EXEC, 0),
        "mprotect": _Condition((10, 226), 2, _PROT_EXEC, 0),
        # threads, but no processes and no namespaces
        "clone": _Condition((56, 220), 0, _CLONE_THREAD | _CLONE_FORBIDDEN, _CLONE_THREAD),
        # Python's mmap module duplicates descriptors
        "fcntl": _Condition((72, 25), 1, _WHOLE, _F_DUPFD_CLOEXEC),
        # of this process only
        "prlimit64": _Condition((302, 261), 0, _WHOLE, 0),
        "sched_getaffinity": _Condition((204, 123), 0, _WHOLE, 0),
    }
)
# The kernel cannot look into the structure with its flags: without it, the C library uses clone.
_CLONE3 = 435

_LOAD, _IF_EQUAL, _IF_AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _REFUSE, _END_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
# Offsets in struct seccomp_data. Of an argument of 64 bits, the lower half comes first: both
# architectures are little-endian.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
# numbers from here on belong to x86-64's second interface, x32
_X32 = 0x40000000
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def refuse_unlisted_calls(machine: str | None = None) -> bool:
    """Install the filter for good in this thread and those that it starts; return whether it is.

    The thread must have no_new_privs. `machine` is the processor's architecture, by default this
    computer's. False where the kernel has no seccomp, or the architecture no table here.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        return False
    code = _filter(machine)
    program = _Program(len(code) // 8, code)
    install = ctypes.CDLL(None, use_errno=True).prctl
    return bool(install(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program)) == 0)


def system_calls(machine: str) -> dict[str, int]:
    """Return the numbers of all system calls that the filter allows, some with conditions."""
    column = list(_ARCHITECTURES).index(machine)
    conditional = {name: condition.numbers for name, condition in _CONDITIONS.items()}
    return {name: numbers[column] for name, numbers in {**_ALLOWED, **conditional}.items()}


def _filter(machine: str) -> bytes:
    return b"".join(_instructions(machine))


def _instructions(machine: str) -> Iterator[bytes]:
    numbers = system_calls(machine)
    yield _do(_LOAD, _ARCHITECTURE)
    yield _do(_IF_EQUAL, _ARCHITECTURES[machine], skip=1)
    yield _do(_RETURN, _END_PROCESS)
    yield _do(_LOAD, _NUMBER)
    yield _do(_IF_AT_LEAST, _X32, skip_else=1)
    yield _do(_RETURN, _END_PROCESS)
    for name in _ALLOWED:
        yield _do(_IF_EQUAL, numbers[name], skip_else=1)
        yield _do(_RETURN, _ALLOW)
    yield _do(_IF_EQUAL, _CLONE3, skip_else=1)
    yield _do(_RETURN, _REFUSE | errno.ENOSYS)
    for name, condition in _CONDITIONS.items():
        yield _do(_IF_EQUAL, numbers[name], skip_else=5)
        yield _do(_LOAD, _ARGUMENTS + 8 * condition.argument)
        yield _do(_AND, condition.mask)
        yield _do(_IF_EQUAL, condition.value, skip_else=1)
        yield _do(_RETURN, _ALLOW)
        yield _do(_RETURN, _REFUSE | errno.EPERM)
    yield _do(_RETURN, _REFUSE | errno.EPERM)


def _do(code: int, value: int, *, skip: int = 0, skip_else: int = 0) -> bytes:
    """Return one struct sock_filter; a comparison skips instructions if it holds, or else."""
    return struct.pack("=HBBI", code, skip, skip_else, value)
