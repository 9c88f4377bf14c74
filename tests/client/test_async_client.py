"""The asynchronous client: many requests at once, iterators, and a request that is cancelled."""

import anyio
import pytest

from kinolex_client import AsyncKinolex, answers, problems
from tests.support.clips import clip_bytes

CLIP = clip_bytes(seconds_colours=["red"] * 2 + ["blue"] * 2)


def test_many_videos_are_tagged_at_once(server: str) -> None:
    found: list[str] = []

    async def run() -> None:
        async with AsyncKinolex(server) as kinolex, anyio.create_task_group() as tasks:

            async def tag() -> None:
                answer = await kinolex.classify(CLIP, labels=["red", "blue"])
                found.append(answer.video.sha256)

            for _ in range(6):
                tasks.start_soon(tag)

    anyio.run(run)

    assert len(found) == 6


def test_lists_and_events_are_asynchronous_iterators(server: str) -> None:
    async def run() -> None:
        async with AsyncKinolex(server) as kinolex:
            await kinolex.put_labels(["red", "blue"])
            names = {label.name async for label in kinolex.labels()}
            events = [
                event async for event in kinolex.classify_events(CLIP, granularity="segments")
            ]
            job = await kinolex.create_job(CLIP, labels=["red", "blue"])
            result = await kinolex.wait_for_job(job.id)
            with pytest.raises(problems.JobNotFound):
                await kinolex.job("0" * 32)

        assert {"red", "blue"} <= names
        assert isinstance(events[-1], answers.Classification)
        assert result.tags[0].label in {"red", "blue"}

    anyio.run(run)


def test_the_client_works_on_after_a_cancelled_request(server: str) -> None:
    async def run() -> None:
        async with AsyncKinolex(server) as kinolex:
            with anyio.move_on_after(0):
                await kinolex.classify(CLIP)
            assert (await kinolex.model()).id == "colours"

    anyio.run(run)
