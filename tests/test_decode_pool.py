"""Decode processes: right frames, kept limits, and no trace of a video that went wrong."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from app.decode_pool import DecodePool, DecodeTimeout
from model.errors import (
    CorruptVideo,
    NotAVideo,
    NoVideoStream,
    StillPicture,
    VideoError,
    VideoTooLong,
)
from model.sampling import SamplingConfig, clip_timestamps
from model.video import VideoLimits, decode, probe
from tests.clips import clip_bytes, read_number, sound_bytes, still_bytes

ROOT = Path(__file__).resolve().parent.parent
SPREAD = SamplingConfig(clips=2, frames_per_clip=3, spacing="spread")
SIDE = 48
PLENTY_SECONDS = 60.0

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def clip():
    return clip_bytes(seconds_colours=["red", "green", "blue"], numbered=True, b_frames=2)


@contextmanager
def descriptor(data):
    """A memory file that holds the bytes, as an upload would be."""
    fd = os.memfd_create("upload")
    try:
        os.write(fd, data)
        yield fd
    finally:
        os.close(fd)


def soon(seconds=PLENTY_SECONDS):
    return asyncio.get_running_loop().time() + seconds


@asynccontextmanager
async def pool_of(workers, limits=None, **options):
    async with DecodePool(workers, limits or VideoLimits(), **options) as pool:
        yield pool


async def until(condition):
    """Waits for something that must happen; the test's timeout is the bound."""
    while not condition():
        await asyncio.sleep(0.01)


def is_alive(pid):
    return Path(f"/proc/{pid}").exists()


def status_of(pid):
    return Path(f"/proc/{pid}/status").read_text()


def count_open_files(pid="self"):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def frozen_job(pool, fd, **options):
    """A job in a worker that is stopped, so that it never ends by itself; and the worker's pid."""
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    task = asyncio.create_task(pool.probe(fd, options.get("deadline", soon())))
    await asyncio.sleep(0.05)
    return task, pid


async def test_the_pool_gives_what_the_library_gives(clip):
    with descriptor(clip) as fd, os.fdopen(os.dup(fd), "rb") as file:
        expected = probe(file)
        times = clip_timestamps(0, expected.duration_seconds, 10, SPREAD).ravel()
        frames = decode(file, times, short_side=SIDE)
        async with pool_of(2) as pool:
            assert await pool.probe(fd, soon()) == expected
            info, sampled = await pool.sample(fd, SPREAD, SIDE, soon())
            decoded = await pool.decode(fd, times[::-1], SIDE, soon())
    assert info == expected
    for batch, order in ((sampled, slice(None)), (decoded, slice(None, None, -1))):
        np.testing.assert_array_equal(batch.frames, frames.frames[order])
        np.testing.assert_array_equal(batch.timestamps_seconds, frames.timestamps_seconds[order])
        batch.frames[0] = 0  # and it is the caller's to change


async def test_wide_pictures_fit_into_the_memory_file():
    wide = clip_bytes(seconds_colours=["red"], width=320, height=32)
    with descriptor(wide) as fd:
        async with pool_of(1) as pool:
            info, batch = await pool.sample(fd, SPREAD, SIDE, soon())
    assert (info.width, info.height) == (320, 32)
    assert batch.frames.shape == (6, SIDE, 4 * SIDE, 3)


async def test_one_descriptor_serves_many_jobs_at_once_and_keeps_its_place(clip):
    with descriptor(clip) as fd:
        os.lseek(fd, 7, os.SEEK_SET)
        async with pool_of(2) as pool:
            batches = await asyncio.gather(
                *(pool.decode(fd, [number / 10 + 0.05], SIDE, soon()) for number in range(30))
            )
        assert os.lseek(fd, 0, os.SEEK_CUR) == 7
    assert [read_number(batch.frames[0]) for batch in batches] == list(range(30))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotAVideo),
        (b"no video\n" * 50, NotAVideo),
        (still_bytes("png"), StillPicture),
        (sound_bytes(), NoVideoStream),
        (clip_bytes()[:2000], CorruptVideo),
    ],
    ids=["empty", "text", "picture", "sound", "truncated"],
)
async def test_the_librarys_errors_come_through_and_cost_no_worker(data, error):
    with descriptor(data) as fd:
        async with pool_of(1) as pool:
            before = pool.pids
            with pytest.raises(error, match=r"\w"):
                await pool.sample(fd, SPREAD, SIDE, soon())
            assert pool.pids == before


async def test_limits_reach_the_worker(clip):
    with descriptor(clip) as fd:
        async with pool_of(1, VideoLimits(max_duration_seconds=1)) as pool:
            with pytest.raises(VideoTooLong):
                await pool.probe(fd, soon())


async def test_a_worker_killed_on_a_video_costs_that_video_only(clip):
    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            job, pid = await frozen_job(pool, fd)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(CorruptVideo, match="decoder died"):
                await job
            assert (await pool.probe(fd, soon())).codec == "h264"
            assert pid not in pool.pids


async def test_a_worker_that_died_idle_costs_nobody(clip):
    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            (pid,) = pool.pids
            os.kill(pid, signal.SIGKILL)
            await until(lambda: "State:\tZ" in status_of(pid))
            assert (await pool.probe(fd, soon())).codec == "h264"
            assert pid not in pool.pids


async def test_the_deadline_kills_the_worker(clip):
    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            job, pid = await frozen_job(pool, fd, deadline=soon(0.2))
            with pytest.raises(DecodeTimeout) as caught:
                await job
            assert caught.value.code == "deadline_exceeded"
            await until(lambda: not is_alive(pid))
            assert (await pool.probe(fd, soon())).codec == "h264"


async def test_a_deadline_that_is_over_starts_nothing(clip):
    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            before = pool.pids
            with pytest.raises(DecodeTimeout):
                await pool.probe(fd, soon(-1))
            assert pool.pids == before


async def test_waiting_for_a_worker_ends_at_the_deadline(clip):
    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            job, pid = await frozen_job(pool, fd)
            with pytest.raises(DecodeTimeout, match="became free"):
                await pool.probe(fd, soon(0.1))
            os.kill(pid, signal.SIGCONT)
            assert (await job).codec == "h264"
            assert pool.pids == {pid}


async def test_cancelling_a_job_frees_its_place(clip):
    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            job, pid = await frozen_job(pool, fd)
            waiting = asyncio.create_task(pool.probe(fd, soon()))
            given_up = asyncio.create_task(pool.probe(fd, soon()))
            await asyncio.sleep(0)
            given_up.cancel()
            job.cancel()
            for cancelled in (job, given_up):
                with pytest.raises(asyncio.CancelledError):
                    await cancelled
            assert (await waiting).codec == "h264"
            await until(lambda: not is_alive(pid))


async def test_jobs_take_turns_in_order_of_arrival(clip):
    finished = []

    async def job(number):
        await pool.probe(fd, soon())
        finished.append(number)

    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            first, pid = await frozen_job(pool, fd)
            jobs = [asyncio.create_task(job(number)) for number in range(5)]
            await asyncio.sleep(0)
            os.kill(pid, signal.SIGCONT)
            await first
            # A newcomer in the very moment in which the worker is handed on.
            jobs.append(asyncio.create_task(job(5)))
            await asyncio.gather(*jobs)
    assert finished == [0, 1, 2, 3, 4, 5]


async def test_workers_are_replaced_after_their_jobs(clip):
    with descriptor(clip) as fd:
        async with pool_of(1, jobs_per_worker=2) as pool:
            seen = []
            for _ in range(6):
                await until(lambda: len(pool.pids) == 1)
                seen.extend(pool.pids)
                await pool.probe(fd, soon())
    assert len(set(seen)) == 3


async def test_processor_time_is_limited():
    # Recordings joined end to end cannot be seeked: all of it must be decoded.
    piece = clip_bytes(
        seconds_colours=["red"] * 8,
        fps=25,
        container="mpegts",
        width=640,
        height=480,
        numbered=True,
    )
    with descriptor(piece * 150) as fd:
        async with pool_of(1, cpu_seconds=1) as pool:
            with pytest.raises(DecodeTimeout, match="1 s of processor time"):
                await pool.decode(fd, [1190.0], SIDE, soon())
            with descriptor(piece) as small:
                assert (await pool.probe(small, soon())).codec == "h264"


async def test_memory_is_limited(clip):
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
            assert (await pool.probe(fd, soon())).width == 3840
        # Room for the small video, not for one picture of the large one (12 MiB).
        async with pool_of(1, max_memory_bytes=(used_kib + 8 * 1024) * 1024) as pool:
            with pytest.raises(VideoError):
                await pool.probe(fd, soon())
            assert (await pool.probe(small, soon())).codec == "h264"


async def test_a_worker_is_shut_in():
    async with pool_of(1, max_memory_bytes=1 << 30) as pool:
        (pid,) = pool.pids
        limits = {
            line[:26].strip(): line[26:].split()[:2]
            for line in Path(f"/proc/{pid}/limits").read_text().splitlines()
        }
        status = status_of(pid)
        loaded = Path(f"/proc/{pid}/maps").read_text()
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        # Input, output, errors and the socket.
        assert count_open_files(pid) == 4
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max open files"] == ["32", "32"]
    assert limits["Max address space"] == [str(1 << 30)] * 2
    assert "NoNewPrivs:\t1" in status
    assert "libav" in loaded
    assert "torch" not in loaded
    assert set(dict(item.split(b"=", 1) for item in environment.split(b"\0") if item)) == {
        b"PYTHONPATH",
        b"OPENBLAS_NUM_THREADS",
    }


async def test_nothing_is_left_behind(clip):
    with descriptor(clip) as fd, descriptor(b"no video") as bad:
        # The first use opens what the interpreter keeps: threads, the loop's own pipes.
        async with pool_of(2) as pool:
            await pool.probe(fd, soon())
        before = count_open_files()
        seen = set()
        async with pool_of(2, jobs_per_worker=5) as pool:
            for number in range(12):
                seen |= pool.pids
                jobs = [pool.sample(fd, SPREAD, SIDE, soon()), pool.probe(bad, soon())]
                await asyncio.gather(*jobs, return_exceptions=True)
                doomed = asyncio.create_task(pool.probe(fd, soon()))
                await asyncio.sleep(0.002 * number)
                doomed.cancel()
                await asyncio.gather(doomed, return_exceptions=True)
            seen |= pool.pids
        assert count_open_files() == before
        assert not [pid for pid in seen if is_alive(pid)]
        assert not pool.pids


async def test_closing_kills_workers_that_are_busy_or_starting(clip):
    with descriptor(clip) as fd:
        async with pool_of(1, jobs_per_worker=1) as pool:
            job, busy = await frozen_job(pool, fd)
            os.kill(busy, signal.SIGCONT)
            await job
            seen = pool.pids | {busy}
        assert not [pid for pid in seen if is_alive(pid)]
        assert not pool.pids


def test_workers_end_when_the_service_is_killed(tmp_path):
    code = (
        "import asyncio, sys\n"
        "from app.decode_pool import DecodePool\n"
        "from model.video import VideoLimits\n"
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


def test_two_services_live_in_one_process(clip):
    async def serve(limit, results):
        async with pool_of(1, VideoLimits(max_duration_seconds=limit)) as pool:
            with descriptor(clip) as fd:
                outcome = await asyncio.gather(pool.probe(fd, soon()), return_exceptions=True)
            results.append(type(outcome[0]).__name__)

    short, long = [], []
    threads = [
        threading.Thread(target=asyncio.run, args=(serve(limit, results),))
        for limit, results in ((1, short), (100, long))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (short, long) == (["VideoTooLong"], ["VideoInfo"])
