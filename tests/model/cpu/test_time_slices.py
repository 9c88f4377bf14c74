"""Longer turns on a core."""

import os
import threading

import pytest

from model.cpu.time_slices import long_turns, take_long_turns

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="needs Linux")


def policies_around(block) -> list[int]:
    """Scheduling policies before, in, and after the block, of a thread and one that it starts."""
    found: list[int] = []

    def look() -> None:
        found.append(os.sched_getscheduler(0))

    def work() -> None:
        look()
        block(look)
        look()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found


def in_a_thread(work) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_threads_started_in_the_block_keep_long_turns_and_the_caller_does_not() -> None:
    turn_over = threading.Event()
    found: list[int] = []

    def started() -> None:
        turn_over.wait()
        found.append(os.sched_getscheduler(0))

    def block(_) -> None:
        with long_turns():
            thread = threading.Thread(target=started)
            thread.start()
        turn_over.set()
        thread.join()

    before, after = policies_around(block)

    assert (before, found, after) == (os.SCHED_OTHER, [os.SCHED_BATCH], os.SCHED_OTHER)


def test_long_turns_are_inherited_and_change_no_priority() -> None:
    def block(look) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
        take_long_turns()
        in_a_thread(look)
        niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    niceness: list[int] = []

    assert policies_around(block) == [os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_BATCH]
    assert niceness == [5]
