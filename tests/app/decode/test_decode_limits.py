"""Limits of a decode worker, and its end when the service ends."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from model.errors import ExpensiveVideo, VideoError, VideoTooLong
from model.video.reader import VideoLimits
from tests.support.clips import clip_bytes
from tests.support.paths import ROOT
from tests.support.pools import count_open_files, descriptor, is_alive, pool_of, status_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def clip() -> bytes:
    return clip_bytes()


async def test_limits_reach_the_worker(clip: bytes) -> None:
    with descriptor(clip) as fd:
        async with pool_of(1, VideoLimits(max_duration_seconds=1)) as pool:
            with pytest.raises(VideoTooLong):
                await pool.probe(fd)


@pytest.mark.slow
async def test_processor_time_is_limited() -> None:
    # With one keyframe, all frames before the last one must be decoded.
    long = clip_bytes(
        seconds_colours=["red"] * 40,
        fps=25,
        width=1280,
        height=720,
        codec_options={"preset": "ultrafast", "g": "1000000"},
        numbered=True,
    )
    with descriptor(long) as fd, descriptor(clip_bytes(seconds_colours=["red"])) as small:
        async with pool_of(1, cost_factor=0.05) as pool:
            with pytest.raises(ExpensiveVideo, match="processor time"):
                await pool.decode(fd, [39.9], 32)
            assert (await pool.probe(small)).codec == "h264"


async def test_memory_is_limited(clip: bytes) -> None:
    large = clip_bytes(
        seconds_colours=["red"],
        fps=4,
        width=3840,
        height=2160,
        codec_options={"preset": "ultrafast"},
    )
    with descriptor(large) as fd, descriptor(clip) as small:
        async with pool_of(1) as pool:
            (pid,) = pool.pids
            used_kib = int(status_of(pid).split("VmSize:")[1].split()[0])
            assert (await pool.probe(fd)).width == 3840
        # Room for the small video, not for one picture of the large one (12 MiB).
        async with pool_of(1, max_memory_bytes=(used_kib + 8 * 1024) * 1024) as pool:
            with pytest.raises(VideoError):
                await pool.probe(fd)
            assert (await pool.probe(small)).codec == "h264"


async def test_a_worker_is_limited_and_inherits_nothing() -> None:
    async with pool_of(1, max_memory_bytes=1 << 30) as pool:
        (pid,) = pool.pids
        limits = {
            line[:26].strip(): line[26:].split()[:2]
            for line in Path(f"/proc/{pid}/limits").read_text().splitlines()
        }
        status = status_of(pid)
        loaded = Path(f"/proc/{pid}/maps").read_text()
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        # Input, output, errors, the socket, its memory for good, and the size of its memory.
        assert count_open_files(pid) == 6
        output = [Path(f"/proc/{pid}/fd/{number}").readlink() for number in (0, 1, 2)]
        assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max open files"] == ["32", "32"]
    assert limits["Max address space"] == [str(1 << 30)] * 2
    assert output == [Path(os.devnull)] * 3
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert f"CapPrm:\t{0:016x}" in status
    assert "libav" in loaded
    assert "torch" not in loaded
    assert set(dict(item.split(b"=", 1) for item in environment.split(b"\0") if item)) == {
        b"PYTHONPATH",
        b"OPENBLAS_NUM_THREADS",
        b"MALLOC_MMAP_THRESHOLD_",
        b"MALLOC_TRIM_THRESHOLD_",
        b"MALLOC_TOP_PAD_",
        b"GLIBC_TUNABLES",
    }


def test_workers_end_when_the_service_is_killed() -> None:
    code = (
        "import asyncio, sys\n"
        "from app.decode.decode_pool import DecodePool\n"
        "from model.video.reader import VideoLimits\n"
        "async def main():\n"
        "    async with DecodePool(2, VideoLimits()) as pool:\n"
        "        print(*pool.pids, flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        pids = service.stdout.readline().split()
        service.kill()
    assert len(pids) == 2
    ended = threading.Event()
    while any(is_alive(pid) for pid in pids):
        ended.wait(0.02)
