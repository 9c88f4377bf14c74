"""The queue in front of the encoder: what runs together, what never runs, what is told to whom."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import anyio
import numpy as np
import pytest

from app.encode.batcher import Batcher
from model import FrameBatch


def window(number: int) -> FrameBatch:
    """One frame that is its number."""
    return FrameBatch(np.full((1, 1, 1, 3), number, np.uint8), np.zeros(1))


def number(frames: FrameBatch) -> int:
    return int(frames.frames.flat[0])


class Recorder:
    """Embeds a window as its number, while the gate is open, and keeps what ran together."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def embed(self, batch: Sequence[FrameBatch]) -> Any:
        self.runs.append([number(frames) for frames in batch])
        assert self.gate.wait(10)
        if 13 in self.runs[-1]:
            raise RuntimeError("no embedding for thirteen")
        return np.array([[number(frames)] for frames in batch], np.float32)


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def test_everyone_gets_the_answer_to_his_own_question() -> None:
    recorder = Recorder()

    async def ask() -> list[Any]:
        async with Batcher(recorder.embed, threads=2, most_together=3) as batcher:
            return await asyncio.gather(*(batcher.embed(window(each)) for each in range(9)))

    assert [row.tolist() for row in asyncio.run(ask())] == [[each] for each in range(9)]
    assert sorted(each for run in recorder.runs for each in run) == list(range(9))
    assert max(map(len, recorder.runs)) <= 3


def test_as_many_run_at_once_as_there_are_threads() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def ask() -> None:
        async with Batcher(recorder.embed, threads=2) as batcher:
            asking = [asyncio.ensure_future(batcher.embed(window(each))) for each in range(3)]
            await until(lambda: len(recorder.runs) == 2)
            await asyncio.sleep(0.02)
            assert recorder.runs == [[0], [1]]
            recorder.gate.set()
            await asyncio.gather(*asking)

    asyncio.run(ask())


def test_what_was_cancelled_before_its_turn_never_runs() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def ask() -> None:
        async with Batcher(recorder.embed, threads=1) as batcher:
            first, second, third = (
                asyncio.ensure_future(batcher.embed(window(each))) for each in (1, 2, 3)
            )
            await until(lambda: recorder.runs == [[1]])
            second.cancel()
            recorder.gate.set()
            await asyncio.gather(first, third)

    asyncio.run(ask())
    assert recorder.runs == [[1], [3]]


def test_what_is_late_before_its_turn_never_runs() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def ask() -> None:
        async with Batcher(recorder.embed, threads=1) as batcher:
            first = asyncio.ensure_future(batcher.embed(window(1)))
            await until(lambda: recorder.runs == [[1]])
            with pytest.raises(TimeoutError):
                with anyio.fail_after(0.02):
                    await batcher.embed(window(2))
            recorder.gate.set()
            await first

    asyncio.run(ask())
    assert recorder.runs == [[1]]


def test_a_batch_waits_for_company_but_not_where_a_deadline_is_near() -> None:
    recorder = Recorder()

    async def ask() -> None:
        async with Batcher(
            recorder.embed, threads=1, most_together=8, linger_seconds=0.1
        ) as batcher:

            async def later(number: int) -> None:
                await asyncio.sleep(0.01)
                await batcher.embed(window(number))

            await asyncio.gather(batcher.embed(window(1)), later(2))
            with anyio.fail_after(0.1):
                await batcher.embed(window(3))

    asyncio.run(ask())
    assert recorder.runs == [[1, 2], [3]]


def test_a_full_batch_does_not_wait() -> None:
    recorder = Recorder()

    async def ask() -> None:
        async with Batcher(
            recorder.embed, threads=1, most_together=2, linger_seconds=60.0
        ) as batcher:
            async with asyncio.timeout(10):
                await asyncio.gather(*(batcher.embed(window(each)) for each in (1, 2)))

    asyncio.run(ask())
    assert recorder.runs == [[1, 2]]


def test_a_failed_run_is_told_to_its_callers_only() -> None:
    recorder = Recorder()

    async def ask() -> list[Any]:
        async with Batcher(recorder.embed, threads=1) as batcher:
            asking = (batcher.embed(window(each)) for each in (13, 1))
            return await asyncio.gather(*asking, return_exceptions=True)

    failed, answered = asyncio.run(ask())
    assert str(failed) == "no embedding for thirteen"
    assert answered.tolist() == [1]


def test_a_full_queue_makes_callers_wait() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def ask() -> None:
        async with Batcher(recorder.embed, threads=1, queue_size=1) as batcher:
            asking = [asyncio.ensure_future(batcher.embed(window(each))) for each in range(4)]
            await until(lambda: recorder.runs == [[0]])
            recorder.gate.set()
            await asyncio.gather(*asking)

    asyncio.run(ask())
    assert recorder.runs == [[0], [1], [2], [3]]


def test_threads_are_prepared_and_end_with_the_service() -> None:
    prepared: list[str] = []
    recorder = Recorder()

    async def ask() -> None:
        async with Batcher(
            recorder.embed,
            threads=1,
            prepare=lambda: prepared.append(threading.current_thread().name),
        ) as batcher:
            await batcher.embed(window(1))

    asyncio.run(ask())
    assert [name.split("_")[0] for name in prepared] == ["encode"]
    assert not [each for each in threading.enumerate() if each.name in prepared]
