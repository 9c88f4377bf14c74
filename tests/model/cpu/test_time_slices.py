"""Scheduler time slices, read back from the kernel."""

import ctypes
import os
import platform
import struct
import threading
from collections.abc import Callable
from typing import NamedTuple

import pytest

from model.cpu.time_slices import long_time_slices, use_long_time_slices

SLICE_NANOSECONDS = 100_000_000
# sched_getattr has no function in older C libraries.
SYSTEM_CALLS = {"x86_64": 315, "aarch64": 275}
SCHED_ATTR = struct.Struct("=IIQiIQQQ")


class Scheduling(NamedTuple):
    """A thread's scheduling as sched_getattr(2) gives it."""

    policy: int
    nice: int
    slice_nanoseconds: int


def scheduling() -> Scheduling:
    """The calling thread's scheduling; its slice is 0 where the kernel does not know slices."""
    attributes = ctypes.create_string_buffer(SCHED_ATTR.size)
    call = ctypes.c_long(SYSTEM_CALLS[platform.machine()])
    assert ctypes.CDLL(None).syscall(call, 0, attributes, SCHED_ATTR.size, 0) == 0
    _, policy, _, nice, _, slice_nanoseconds, _, _ = SCHED_ATTR.unpack(attributes.raw)
    return Scheduling(policy, nice, slice_nanoseconds)


def in_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def knows_slices() -> bool:
    if not hasattr(os, "sched_getscheduler") or platform.machine() not in SYSTEM_CALLS:
        return False
    return scheduling().slice_nanoseconds > 0


pytestmark = pytest.mark.skipif(not knows_slices(), reason="needs Linux 6.12 or newer")


def test_threads_started_in_the_block_keep_long_slices_and_the_caller_does_not() -> None:
    found: dict[str, Scheduling] = {}
    block_has_ended = threading.Event()

    def started_in_the_block() -> None:
        block_has_ended.wait()
        found["started"] = scheduling()

    def caller() -> None:
        found["before"] = scheduling()
        with long_time_slices():
            found["within"] = scheduling()
            thread = threading.Thread(target=started_in_the_block)
            thread.start()
        found["after"] = scheduling()
        block_has_ended.set()
        thread.join()

    in_thread(caller)

    long = Scheduling(os.SCHED_BATCH, found["before"].nice, SLICE_NANOSECONDS)
    assert found["before"].policy == os.SCHED_OTHER
    assert found["before"].slice_nanoseconds < SLICE_NANOSECONDS
    assert (found["within"], found["started"]) == (long, long)
    assert found["after"] == found["before"]


def test_long_slices_are_inherited_and_change_no_priority() -> None:
    found: list[Scheduling] = []

    def caller() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        use_long_time_slices()
        found.append(scheduling())
        in_thread(lambda: found.append(scheduling()))

    in_thread(caller)

    assert found == [Scheduling(os.SCHED_BATCH, 19, SLICE_NANOSECONDS)] * 2
