"""Confines a worker process to what decoding needs, for good."""

import ctypes
import os
import struct

from app.decode.sandbox.landlock import refuse_files_and_network
from app.decode.sandbox.limits import forbid_file_writes, limit_decode_worker
from app.decode.sandbox.report import Sandbox
from app.decode.sandbox.seccomp import refuse_unlisted_calls

# linux/prctl.h, linux/capability.h
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_CAPABILITY_VERSION_3 = 0x20080522


def confine_decode_worker(max_memory_bytes: int) -> Sandbox:
    """Confine this process to its memory, threads, descriptors and socket; return what worked.

    Standard input, output and errors lead nowhere afterwards. The process must have one thread.
    """
    lead_output_nowhere()
    limit_decode_worker(max_memory_bytes)
    no_new_privileges, not_dumpable = _give_up_privileges()
    landlock_abi = refuse_files_and_network() if no_new_privileges else 0
    seccomp = no_new_privileges and refuse_unlisted_calls()
    return Sandbox(seccomp, landlock_abi, no_new_privileges, not_dumpable)


def confine_gpu_worker() -> None:
    """Forbid a GPU worker to write files and the log, and to gain privileges.

    Its address space, open files and system calls have no limit: a GPU's driver reserves address
    space beyond any useful limit, and opens files and devices at all times.
    """
    lead_output_nowhere()
    forbid_file_writes()
    _give_up_privileges()


def lead_output_nowhere() -> None:
    """Make standard input empty, and lose what is written to standard output and errors.

    A video that has taken over this process could otherwise forge lines of the service's log.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    os.close(nowhere)


def _give_up_privileges() -> tuple[bool, bool]:
    """Give up capabilities; return whether no_new_privs and "not dumpable" could be set."""
    libc = ctypes.CDLL(None, use_errno=True)
    nobody = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    libc.capset(nobody, bytes(24))  # effective, permitted, inheritable: two words of each
    # Not dumpable: /proc/PID of this process belongs to root, and ptrace(2) is refused.
    not_dumpable = libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
    no_new_privileges = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    return no_new_privileges, not_dumpable
