"""Memory that threads freed goes back to the operating system."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT

# Each thread frees 100 MB but for the last block, so that its arena cannot shrink by itself.
PROGRAM = """
import ctypes, threading
import anyio, psutil
from app.lifecycle.memory import keep_releasing_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
freed, ending = threading.Semaphore(0), threading.Event()

def work():
    blocks = [libc.malloc(50_000) for _ in range(2_000)]
    for each in blocks:
        ctypes.memset(each, 1, 50_000)
    for each in blocks[:-1]:
        libc.free(each)
    freed.release()
    ending.wait()

def megabytes():
    return psutil.Process().memory_info().rss / 1e6

async def main():
    before = megabytes()
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        freed.acquire()
    kept = megabytes() - before
    async with anyio.create_task_group() as group:
        group.start_soon(keep_releasing_memory, 0.01)
        with anyio.fail_after(30):
            while megabytes() - before > 40:
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    ending.set()
    print(kept)

anyio.run(main)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries do it by themselves")
def test_memory_that_threads_freed_is_given_back() -> None:
    outcome = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert outcome.returncode == 0, outcome.stderr
    # without a release, it would stay
    assert float(outcome.stdout) > 150
