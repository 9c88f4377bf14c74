"""What a video may cost a decode worker, and what happens to one that costs more."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from app.decode.budget import VideoBudget
from app.decode.decode_pool import DecodePool
from model.errors import ExpensiveVideo, VideoError
from model.video.cost import Allowance, allowance
from tests.support.clips import clip_bytes
from tests.support.paths import ROOT
from tests.support.pools import descriptor, pool_of

pytestmark = pytest.mark.anyio
# Each dimension alone; the others are as good as without a limit.
TOO_LITTLE = {
    "processor time": Allowance(cpu_seconds=1e-6),
    "decoding": Allowance(pixels=64 * 48),
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[DecodePool]:
    async with pool_of(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def large_frames() -> bytes:
    return clip_bytes(
        seconds_colours=["red"] * 2,
        fps=4,
        width=3840,
        height=2160,
        codec_options={"preset": "ultrafast"},
    )


@pytest.mark.parametrize("what", TOO_LITTLE)
async def test_a_video_over_its_allowance_is_refused_and_its_worker_lives(
    pool: DecodePool, large_frames: bytes, what: str
) -> None:
    pids = pool.pids
    with descriptor(large_frames) as fd:
        with pytest.raises(ExpensiveVideo, match=f"more {what}"):
            await pool.decode(fd, [1.9], 32, budget=VideoBudget(TOO_LITTLE[what], 60))
        assert (await pool.decode(fd, [1.9], 32)).frames.shape[0] == 1
    assert pool.pids == pids


async def test_a_video_that_needs_too_much_memory_is_refused(
    pool: DecodePool, large_frames: bytes
) -> None:
    too_little = VideoBudget(Allowance(memory_bytes=4 << 20), 60)  # a frame has 12 MB
    with descriptor(large_frames) as fd:
        # FFmpeg reports some allocations that fail as damage.
        with pytest.raises(VideoError):
            await pool.decode(fd, [1.9], 32, budget=too_little)
        assert (await pool.decode(fd, [1.9], 32)).frames.shape[0] == 1


def test_memory_beyond_the_allowance_cannot_be_had() -> None:
    program = (
        "from app.decode.sandbox.limits import limited_job\n"
        "from app.decode.sandbox.memory_gauge import MemoryGauge\n"
        "with limited_job(60, MemoryGauge().data_bytes() + (32 << 20)):\n"
        "    bytearray(8 << 20)\n"
        "    try: bytearray(48 << 20)\n"
        "    except MemoryError: print('refused')\n"
        "bytearray(48 << 20)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert ended.stdout == "refused\n"


async def test_a_worker_that_cannot_stop_itself_is_ended(
    pool: DecodePool, large_frames: bytes
) -> None:
    (pid,) = pool.pids
    with descriptor(large_frames) as fd:
        job = asyncio.ensure_future(pool.decode(fd, [1.9], 32))
        while pool.has_idle:
            await asyncio.sleep(0)
        os.kill(pid, signal.SIGPROF)
        with pytest.raises(ExpensiveVideo):
            await job
        assert (await pool.decode(fd, [1.9], 32)).frames.shape[0] == 1


def test_an_endless_block_is_ended_by_its_processor_time() -> None:
    program = (
        "from app.decode.sandbox.limits import limited_job\n"
        "with limited_job(0.05, 1 << 40):\n"
        "    while True: pass\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGPROF


async def test_the_jobs_of_one_video_share_its_budget(pool: DecodePool) -> None:
    with descriptor(clip_bytes()) as fd:
        budget = VideoBudget(Allowance(cpu_seconds=0.05), 60)

        async def decode_without_end() -> None:
            while True:
                await pool.decode(fd, [0.0, 2.9], 32, budget=budget)

        with pytest.raises(ExpensiveVideo):
            await decode_without_end()
        await pool.decode(fd, [0.0, 2.9], 32)


async def test_the_time_between_jobs_does_not_count(pool: DecodePool) -> None:
    with descriptor(clip_bytes()) as fd:
        budget = VideoBudget(Allowance(cpu_seconds=5.0), 60)
        started = time.process_time()
        await pool.probe(fd, budget=budget)
        while time.process_time() < started + 0.01:
            pass
        assert budget.next_job().cpu_seconds > 4.0


def test_threads_fit_into_the_memory() -> None:
    assert VideoBudget(allowance(1_000), 60).threads(8) == 1
    assert VideoBudget(allowance(5_000_000), 60).threads(8) == 2
    assert VideoBudget(allowance(100_000_000), 60).threads(8) == 8


def test_the_allowance_grows_with_the_file_and_with_the_factor() -> None:
    small, large = allowance(1_000), allowance(50_000_000)
    assert allowance(1_000_000) == small
    assert small.cpu_seconds < 2
    assert small.memory_bytes < 300_000_000
    assert large.cpu_seconds > 60
    assert large.pixels > small.pixels
    assert large.memory_bytes > 2 << 30
    assert allowance(1_000, factor=3.0).cpu_seconds == pytest.approx(3 * small.cpu_seconds)
