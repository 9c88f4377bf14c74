"""Decode processes: right frames, kept limits, and no trace of a video that went wrong."""

import asyncio
import gc
import os
import signal
import threading
from typing import Any

import anyio
import numpy as np
import pytest

from app.decode.decode_pool import DecodePool, DecodeTimeout
from model.errors import (
    CorruptVideo,
    NotAVideo,
    NoVideoStream,
    StillPicture,
    VideoError,
)
from model.video.reader import VideoInfo, VideoLimits, decode, probe
from model.video.sampling import SamplingConfig, clip_timestamps
from tests.model.video.test_odd_files import EXPECTED, ODD_FILES
from tests.support.clips import clip_bytes, read_number, sound_bytes, still_bytes
from tests.support.pools import (
    count_open_files,
    descriptor,
    is_alive,
    pool_of,
    status_of,
    until,
)

SPREAD = SamplingConfig(clips=2, frames_per_clip=3, spacing="spread")
SIDE = 48

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    # The server runs on uvloop, commands and tests on the standard loop.
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(scope="module")
def clip() -> bytes:
    return clip_bytes(seconds_colours=["red", "green", "blue"], numbered=True, b_frames=2)


async def frozen_job(
    pool: DecodePool, fd: int, scope: anyio.CancelScope | None = None
) -> tuple[asyncio.Task[VideoInfo | None], int]:
    """A job in a worker that is stopped, so that it never ends by itself; and the worker's pid."""
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)

    async def job() -> VideoInfo | None:
        with scope or anyio.CancelScope():
            return await pool.probe(fd)
        return None  # the scope was cancelled

    task = asyncio.create_task(job())
    await until(lambda: not pool.has_idle)
    return task, pid


async def test_the_pool_gives_what_the_library_gives(clip: bytes) -> None:
    with descriptor(clip) as fd, os.fdopen(os.dup(fd), "rb") as file:
        expected = probe(file)
        times = clip_timestamps(0, expected.duration_seconds, 10, SPREAD).ravel()
        frames = decode(file, times, short_side=SIDE)
        async with pool_of(2) as pool:
            assert await pool.probe(fd) == expected
            info, sampled = await pool.sample(fd, SPREAD, SIDE)
            decoded = await pool.decode(fd, times[::-1], SIDE)
    assert info == expected
    for batch, order in ((sampled, slice(None)), (decoded, slice(None, None, -1))):
        np.testing.assert_array_equal(batch.frames, frames.frames[order])
        np.testing.assert_array_equal(batch.timestamps_seconds, frames.timestamps_seconds[order])
        batch.frames[0] = 0  # and it is the caller's to change


async def test_wide_pictures_fit_into_the_memory_file() -> None:
    wide = clip_bytes(seconds_colours=["red"], width=320, height=32)
    with descriptor(wide) as fd:
        async with pool_of(1) as pool:
            info, batch = await pool.sample(fd, SPREAD, SIDE)
    assert (info.width, info.height) == (320, 32)
    assert batch.frames.shape == (6, SIDE, 4 * SIDE, 3)


async def test_one_descriptor_serves_many_jobs_at_once_and_keeps_its_offset(clip: bytes) -> None:
    with descriptor(clip) as fd:
        os.lseek(fd, 7, os.SEEK_SET)
        async with pool_of(2) as pool:
            batches = await asyncio.gather(
                *(pool.decode(fd, [number / 10 + 0.05], SIDE) for number in range(30))
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
async def test_the_librarys_errors_come_through_and_cost_no_worker(
    data: bytes, error: type[VideoError]
) -> None:
    with descriptor(data) as fd:
        async with pool_of(1) as pool:
            before = pool.pids
            with pytest.raises(error, match=r"\w"):
                await pool.sample(fd, SPREAD, SIDE)
            assert pool.pids == before


@pytest.mark.shared
async def test_no_odd_file_costs_a_worker() -> None:
    answers: dict[str, str] = {}
    async with pool_of(1) as pool:
        before = pool.pids
        for name in EXPECTED:
            with descriptor((ODD_FILES / name).read_bytes()) as fd:
                try:
                    info, _ = await pool.sample(fd, SPREAD, SIDE)
                    answers[name] = f"{info.codec} {info.width}x{info.height}"
                except VideoError as error:
                    answers[name] = error.code
        assert pool.pids == before
    assert answers == EXPECTED


async def test_a_worker_killed_on_a_video_costs_that_video_only(clip: bytes) -> None:
    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            job, pid = await frozen_job(pool, fd)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(CorruptVideo, match="decoder died"):
                await job
            assert (await pool.probe(fd)).codec == "h264"
            assert pid not in pool.pids


async def test_a_worker_that_died_idle_costs_no_job(clip: bytes) -> None:
    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            (pid,) = pool.pids
            os.kill(pid, signal.SIGKILL)
            await until(lambda: "State:\tZ" in status_of(pid))
            assert (await pool.probe(fd)).codec == "h264"
            assert pid not in pool.pids


async def test_the_deadline_kills_the_worker(clip: bytes) -> None:
    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            scope = anyio.CancelScope()
            job, pid = await frozen_job(pool, fd, scope)
            scope.deadline = anyio.current_time()
            await job
            assert scope.cancelled_caught
            await until(lambda: not is_alive(pid))
            assert (await pool.probe(fd)).codec == "h264"


async def test_a_deadline_that_is_over_starts_nothing(clip: bytes) -> None:
    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            before = pool.pids
            over = anyio.current_time() - 1
            with anyio.CancelScope(deadline=over), pytest.raises(DecodeTimeout, match="was over"):
                await pool.probe(fd)
            assert pool.pids == before


async def test_waiting_for_a_worker_ends_at_the_deadline(clip: bytes) -> None:
    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            job, pid = await frozen_job(pool, fd)
            with pytest.raises(TimeoutError), anyio.fail_after(0.1):
                await pool.probe(fd)
            os.kill(pid, signal.SIGCONT)
            assert await job == await pool.probe(fd)
            assert pool.pids == {pid}


async def test_a_cancelled_job_makes_room_for_the_next(clip: bytes) -> None:
    with descriptor(clip) as fd:
        async with pool_of(1) as pool:
            job, pid = await frozen_job(pool, fd)
            waiting = asyncio.create_task(pool.probe(fd))
            given_up = asyncio.create_task(pool.probe(fd))
            await asyncio.sleep(0)  # both wait now: a task runs until it waits
            given_up.cancel()
            job.cancel()
            for cancelled in (job, given_up):
                with pytest.raises(asyncio.CancelledError):
                    await cancelled
            assert (await waiting).codec == "h264"
            await until(lambda: not is_alive(pid))


async def test_jobs_are_done_in_order_of_arrival(clip: bytes) -> None:
    finished: list[int] = []

    async def job(number: int) -> None:
        await pool.probe(fd)
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


async def test_workers_are_replaced_after_their_jobs(clip: bytes) -> None:
    with descriptor(clip) as fd:
        async with pool_of(1, jobs_per_worker=2) as pool:
            seen: list[int] = []
            for _ in range(6):
                await until(lambda: len(pool.pids) == 1)
                seen.extend(pool.pids)
                await pool.probe(fd)
    assert len(set(seen)) == 3


async def test_a_job_goes_to_the_worker_that_was_busy_last(clip: bytes) -> None:
    with descriptor(clip) as fd:
        async with pool_of(2, jobs_per_worker=2) as pool:
            before = pool.pids
            for _ in range(2):
                await pool.probe(fd)
            await until(lambda: pool.pids != before and len(pool.pids) == 2)
            assert len(pool.pids & before) == 1


async def test_nothing_is_left_behind(clip: bytes) -> None:
    with descriptor(clip) as fd, descriptor(b"no video") as bad:
        # The first use opens what the interpreter keeps: threads, the loop's own pipes.
        async with pool_of(2) as pool:
            await pool.probe(fd)
        gc.collect()  # memory of earlier tests that is still mapped has descriptors
        before = count_open_files()
        seen: set[int] = set()
        async with pool_of(2, jobs_per_worker=5) as pool:
            for number in range(12):
                seen |= pool.pids
                jobs = pool.sample(fd, SPREAD, SIDE), pool.probe(bad)
                await asyncio.gather(*jobs, return_exceptions=True)
                doomed = asyncio.create_task(pool.probe(fd))
                # cancelled before it begins, before its answer, or not at all
                await asyncio.sleep(0.002 * number)
                doomed.cancel()
                await asyncio.gather(doomed, return_exceptions=True)
            seen |= pool.pids
        assert count_open_files() == before
        assert not [pid for pid in seen if is_alive(pid)]
        assert not pool.pids


async def test_closing_kills_workers_that_are_busy_or_starting(clip: bytes) -> None:
    with descriptor(clip) as fd:
        async with pool_of(1, jobs_per_worker=1) as pool:
            job, busy = await frozen_job(pool, fd)
            os.kill(busy, signal.SIGCONT)
            await job
            seen = pool.pids | {busy}
        assert not [pid for pid in seen if is_alive(pid)]
        assert not pool.pids


def test_two_services_live_in_one_process(clip: bytes) -> None:
    async def serve(limit: float, results: list[str]) -> None:
        async with pool_of(1, VideoLimits(max_duration_seconds=limit)) as pool:
            with descriptor(clip) as fd:
                outcome = await asyncio.gather(pool.probe(fd), return_exceptions=True)
            results.append(type(outcome[0]).__name__)

    short: list[str] = []
    long: list[str] = []
    threads = [
        threading.Thread(target=asyncio.run, args=(serve(limit, results),))
        for limit, results in ((1, short), (100, long))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (short, long) == (["VideoTooLong"], ["VideoInfo"])


async def test_a_worker_keeps_nothing_of_the_videos_that_it_decoded() -> None:
    film = clip_bytes(seconds_colours=["red"], width=1920, height=1080, fps=2)
    with descriptor(film) as fd:
        async with pool_of(1) as pool:
            (pid,) = pool.pids

            def held_mib() -> float:
                (line,) = (n for n in status_of(pid).splitlines() if n.startswith("RssAnon"))
                return int(line.split()[1]) / 1024

            held: list[float] = []
            for _ in range(16):
                await pool.decode(fd, [0.0], SIDE)
                await pool.probe(fd)
                if len(held) >= 4:
                    # a frame is 3 MB; the worker frees memory after it has sent its answer
                    await until(lambda: held_mib() < min(held[:4]) + 9)
                held.append(held_mib())
            assert pool.pids == {pid}
