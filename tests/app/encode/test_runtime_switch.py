"""Work in the background while requests are answered: waiting for it, failing, abandoning it."""

import asyncio
import signal
import subprocess
import sys
import threading

import pytest

from app.encode.runtime_switch import run_in_daemon_thread, wait_or_kill

SLEEPING = [sys.executable, "-S", "-c", "import time; time.sleep(1000)"]


def test_work_in_a_daemon_thread_returns_its_result_or_raises_its_error() -> None:
    def fail() -> None:
        raise ValueError("no compiler")

    assert asyncio.run(run_in_daemon_thread(lambda: threading.current_thread().daemon))
    with pytest.raises(ValueError, match="no compiler"):
        asyncio.run(run_in_daemon_thread(fail))


def test_abandoned_work_holds_nothing_up_and_its_result_is_dropped() -> None:
    may_end, has_started = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def work() -> str:
        threads.append(threading.current_thread())
        has_started.set()
        may_end.wait()
        return "too late"

    async def abandon() -> None:
        task = asyncio.create_task(run_in_daemon_thread(work))
        await asyncio.to_thread(has_started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(abandon())
    may_end.set()
    threads[0].join()


def test_cancelling_the_wait_kills_the_process() -> None:
    process = subprocess.Popen(SLEEPING)

    async def cancel() -> None:
        task = asyncio.create_task(wait_or_kill(process))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert process.returncode == -signal.SIGKILL


def test_a_process_that_ends_by_itself_is_not_killed() -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(3)"])

    asyncio.run(wait_or_kill(process))

    assert process.returncode == 3
