"""SIGTERM to a real server: exit code 0, and every request that it accepted has an answer."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from benchmarks.hostile.stops import Service, stop_under_load
from tests.support.clips import clip_bytes

pytestmark = pytest.mark.anyio

COLOURS = ("-m", "tests.support.colour_server", "{port}", "{workers}")
GRACE_SECONDS = 60.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_stop_under_load_answers_what_was_accepted(workers: int, tmp_path: Path) -> None:
    settings = {
        "KINOLEX_STOP_GRACE_SECONDS": str(GRACE_SECONDS),
        "KINOLEX_STOP_DELAY_SECONDS": "0.5",
    }
    service = Service(COLOURS, tmp_path, settings, workers)

    stop = await stop_under_load(service, clip_bytes(), random.Random(workers))

    assert not stop.faults(GRACE_SECONDS), stop


@pytest.mark.slow
async def test_what_cannot_be_finished_is_answered_before_the_end(tmp_path: Path) -> None:
    settings = {"KINOLEX_STOP_GRACE_SECONDS": "8", "KINOLEX_STOP_DELAY_SECONDS": "0"}
    video = clip_bytes(seconds_colours=["blue", "blue"])
    async with Service(COLOURS, tmp_path, settings, 1).running() as running:
        plain = asyncio.create_task(running.ask("/classify", video))
        stream = asyncio.create_task(
            running.ask("/classify?granularity=segments", video, accept="text/event-stream")
        )
        while await running.working() < 2:
            await asyncio.sleep(0.05)

        exit_code = await running.stop()

    status, problem = await plain
    assert (status, json.loads(problem)["code"]) == ("503", "shutting_down")
    status, events = await stream
    assert status == "200"
    assert b"event: problem" in events
    assert b'"shutting_down"' in events
    assert exit_code == 0
