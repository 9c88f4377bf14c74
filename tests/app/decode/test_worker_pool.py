"""The pool itself: processes that lie, leak, cannot start, or speak another version."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from app.decode.frame_memory import FrameSlot
from app.decode.protocol import (
    PROTOCOL_VERSION,
    Failure,
    Probe,
    Ready,
    Start,
    StartDecoding,
    StartRendering,
    VideoFacts,
    encode,
)
from app.decode.worker_pool import NoIdleWorker, WorkerDied, WorkerPool, WorkersNotStarted
from app.decode.worker_process import Job
from model.video.reader import VideoInfo, VideoLimits
from tests.support.leaking_worker import LEAKED_BYTES
from tests.support.pools import is_alive, until

PROBE = Job(Probe(), ())
FACTS = VideoFacts(VideoInfo(3.0, 25.0, 64, 48, 0, "h264"))
MIB = 1 << 20

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pool_of_one(module: str, start: Start) -> WorkerPool[FrameSlot]:
    return WorkerPool(f"tests.support.{module}", start, workers=1, jobs_per_worker=1000)


def liars(answer: bytes, ready: bytes = b"") -> WorkerPool[FrameSlot]:
    """A worker that answers every request with these bytes."""
    messages = ",".join(base64.b64encode(part).decode() for part in (ready, answer))
    return pool_of_one("lying_worker", StartRendering(messages, 60))


async def test_an_answer_is_checked_and_returned() -> None:
    async with liars(encode(FACTS)) as pool:
        pids = pool.pids
        assert await pool.do(lambda _: PROBE) == FACTS
        assert pool.pids == pids


async def test_a_failure_is_an_answer_like_others() -> None:
    failure = Failure("no_frames", "nothing to see")
    async with liars(encode(failure)) as pool:
        assert await pool.do(lambda _: PROBE) == failure


@pytest.mark.parametrize(
    "answer",
    [b"{", b"[]", b"\xff", encode(Probe()), encode(FACTS).replace(b"64", b"-64")],
    ids=["broken", "no object", "no text", "no answer", "out of range"],
)
async def test_a_worker_that_breaks_the_protocol_is_killed(answer: bytes) -> None:
    async with liars(answer) as pool:
        (pid,) = pool.pids
        with pytest.raises(WorkerDied):
            await pool.do(lambda _: PROBE)
        await until(lambda: not is_alive(pid))
        await until(lambda: pool.has_idle)


async def test_a_worker_of_another_version_is_not_used() -> None:
    other = encode(Ready(version=PROTOCOL_VERSION + 1))
    with pytest.raises(WorkersNotStarted, match="lying_worker"):
        async with liars(encode(FACTS), ready=other) as pool:
            await pool.do(lambda _: PROBE)


async def test_a_worker_refuses_a_service_of_another_version(
    capfd: pytest.CaptureFixture[str],
) -> None:
    start = StartDecoding(VideoLimits(), 1 << 30, 60, version=PROTOCOL_VERSION + 1)
    pool = WorkerPool[FrameSlot]("app.decode.worker", start, workers=1, jobs_per_worker=1)
    with pytest.raises(WorkersNotStarted):
        async with pool:
            pass
    assert "restart the service" in capfd.readouterr().err


async def test_a_worker_that_has_grown_to_a_quarter_of_its_memory_is_replaced() -> None:
    start = StartDecoding(VideoLimits(), 4 * 128 * MIB, 60)
    async with pool_of_one("leaking_worker", start) as pool:
        (first,) = pool.pids
        at_start = psutil.Process(first).memory_info().rss
        served = 0
        while pool.has_idle:  # a worker that asks for a new process is never idle again
            await pool.do(lambda _: PROBE)
            served += 1
        at_end = (at_start + served * LEAKED_BYTES) / MIB
        assert 128 < at_end + 8 < 128 + 3 * 8
        await until(lambda: pool.has_idle)
        assert first not in pool.pids


async def test_a_worker_that_hangs_while_it_starts_is_replaced(tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    start = StartRendering(str(hang), 60)
    pool = WorkerPool[FrameSlot](
        "tests.support.hanging_worker", start, workers=1, jobs_per_worker=1, start_seconds=1.0
    )
    async with pool:
        (first,) = pool.pids
        hang.touch()
        # after its only job, the worker is replaced by one that hangs
        assert await pool.do(lambda _: PROBE) == FACTS
        await until(lambda: pool.pids and first not in pool.pids)
        (hanging,) = pool.pids
        assert not pool.has_idle
        await until(lambda: hanging not in pool.pids)
        hang.unlink()
        assert await pool.do(lambda _: PROBE) == FACTS
        assert not is_alive(hanging)


async def test_a_job_that_does_not_wait_fails_at_once_while_no_worker_is_idle() -> None:
    async with liars(encode(FACTS)) as pool:
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        task = asyncio.create_task(pool.do(lambda _: PROBE))
        await until(lambda: not pool.has_idle)
        with pytest.raises(NoIdleWorker):
            await pool.do(lambda _: PROBE, waits=False)
        os.kill(pid, signal.SIGCONT)
        assert await task == FACTS


async def test_a_job_that_cannot_be_made_leaves_the_worker_idle() -> None:
    def no_job(_: FrameSlot | None) -> Job:
        raise OSError("no memory")

    async with liars(encode(FACTS)) as pool:
        pids = pool.pids
        with pytest.raises(OSError, match="no memory"):
            await pool.do(no_job)
        assert pool.has_idle
        assert pool.pids == pids


def test_the_pools_load_neither_torch_nor_the_workers_programs() -> None:
    code = "import sys, app.decode.decode_pool; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    unwanted = {"torch", "faiss", "app.decode.worker", "app.decode.gpu_worker"}
    assert not unwanted & set(loaded.stdout.split())
