"""Short jobs do not wait for long ones."""

import asyncio
import os
import signal

import pytest

from tests.support.clips import clip_bytes
from tests.support.pools import descriptor, pool_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_job_begins_although_all_workers_have_long_ones() -> None:
    with descriptor(clip_bytes()) as fd:
        async with pool_of(1) as pool:
            (pid,) = pool.pids
            os.kill(pid, signal.SIGSTOP)
            endless = asyncio.ensure_future(pool.probe(fd))
            await asyncio.sleep(0)

            for _ in range(3):
                assert (await pool.probe(fd)).codec == "h264"

            assert not endless.done()
            assert len(pool.pids) == 2
            os.kill(pid, signal.SIGCONT)
            assert (await endless).codec == "h264"


async def test_no_more_short_jobs_run_at_once_than_there_are_places() -> None:
    with descriptor(clip_bytes()) as fd:
        async with pool_of(1) as pool:
            (pid,) = pool.pids
            os.kill(pid, signal.SIGSTOP)
            first = asyncio.ensure_future(pool.probe(fd))
            await asyncio.sleep(0)
            await pool.probe(fd)
            os.kill(pid, signal.SIGCONT)
            await first

            # Two workers are idle now, and there is one place.
            jobs = [asyncio.ensure_future(pool.probe(fd)) for _ in range(2)]
            await asyncio.sleep(0)
            assert not pool.has_idle
            await asyncio.gather(*jobs)
            assert pool.has_idle
