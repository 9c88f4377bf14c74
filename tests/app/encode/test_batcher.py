"""Batches of windows: what is encoded together, what is never encoded, who gets which result."""

import asyncio
import threading
from collections.abc import Callable, Sequence

import anyio
import numpy as np
import pytest

from app.encode.batcher import Batcher, Features, Frames


def window(number: int) -> Frames:
    """Make a window of one frame whose only pixel is the number."""
    return np.full((1, 1, 1, 3), number, np.uint8)


def number(frames: Frames) -> int:
    return int(frames.flat[0])


class Recorder:
    """Encodes a window as its number while the gate is open; records the batches."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()

    def encode(self, batch: Sequence[Frames]) -> Features:
        self.runs.append([number(frames) for frames in batch])
        assert self.gate.wait(60)
        if 13 in self.runs[-1]:
            raise RuntimeError("no features for thirteen")
        return np.array([[number(frames)] for frames in batch], np.float32)


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock a test can advance."""

    ahead_seconds = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_seconds


async def let_tasks_run() -> None:
    """Let every task run until it waits for a thread or a time."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


def test_every_caller_gets_its_own_features() -> None:
    recorder = Recorder()

    async def ask() -> list[Features]:
        async with Batcher(recorder.encode, threads=2, max_batch_size=3) as batcher:
            return await asyncio.gather(*(batcher.encode(window(each)) for each in range(9)))

    assert [row.tolist() for row in asyncio.run(ask())] == [[each] for each in range(9)]
    assert sorted(each for run in recorder.runs for each in run) == list(range(9))
    assert max(map(len, recorder.runs)) <= 3


def test_one_batch_runs_in_each_thread() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def ask() -> None:
        async with Batcher(recorder.encode, threads=2) as batcher:
            asking = [asyncio.ensure_future(batcher.encode(window(each))) for each in range(3)]
            await until(lambda: len(recorder.runs) == 2)
            await asyncio.sleep(0.02)
            assert sorted(recorder.runs) == [[0], [1]]
            recorder.gate.set()
            await asyncio.gather(*asking)

    asyncio.run(ask())


def test_a_window_cancelled_in_the_queue_is_never_encoded() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def ask() -> None:
        async with Batcher(recorder.encode, threads=1) as batcher:
            first, second, third = (
                asyncio.ensure_future(batcher.encode(window(each))) for each in (1, 2, 3)
            )
            await until(lambda: recorder.runs == [[1]])
            second.cancel()
            recorder.gate.set()
            await asyncio.gather(first, third)

    asyncio.run(ask())
    assert recorder.runs == [[1], [3]]


def test_a_window_whose_deadline_passes_in_the_queue_is_never_encoded() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def ask() -> None:
        async with Batcher(recorder.encode, threads=1) as batcher:
            first = asyncio.ensure_future(batcher.encode(window(1)))
            await until(lambda: recorder.runs == [[1]])
            with pytest.raises(TimeoutError):
                with anyio.fail_after(0.02):
                    await batcher.encode(window(2))
            recorder.gate.set()
            await first

    asyncio.run(ask())
    assert recorder.runs == [[1]]


def test_an_incomplete_batch_waits_for_more_windows() -> None:
    recorder = Recorder()

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        async with Batcher(
            recorder.encode, threads=1, max_batch_size=8, linger_seconds=1000.0
        ) as batcher:
            first = asyncio.ensure_future(batcher.encode(window(1)))
            await let_tasks_run()
            second = asyncio.ensure_future(batcher.encode(window(2)))
            await let_tasks_run()
            loop.ahead_seconds += 1000.0
            await asyncio.gather(first, second)

    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        runner.run(ask())
    assert recorder.runs == [[1, 2]]


def test_an_incomplete_batch_does_not_wait_where_a_deadline_is_near() -> None:
    recorder = Recorder()

    async def ask() -> None:
        async with Batcher(
            recorder.encode, threads=1, max_batch_size=8, linger_seconds=1000.0
        ) as batcher:
            with anyio.fail_after(1000.0):
                async with asyncio.timeout(60):
                    await batcher.encode(window(3))

    asyncio.run(ask())
    assert recorder.runs == [[3]]


def test_a_full_batch_does_not_wait() -> None:
    recorder = Recorder()

    async def ask() -> None:
        async with Batcher(
            recorder.encode, threads=1, max_batch_size=2, linger_seconds=1000.0
        ) as batcher:
            async with asyncio.timeout(60):
                await asyncio.gather(*(batcher.encode(window(each)) for each in (1, 2)))

    asyncio.run(ask())
    assert recorder.runs == [[1, 2]]


def test_an_error_is_raised_to_the_callers_of_its_batch_only() -> None:
    recorder = Recorder()

    async def ask() -> list[Features | BaseException]:
        async with Batcher(recorder.encode, threads=1) as batcher:
            asking = (batcher.encode(window(each)) for each in (13, 1))
            return await asyncio.gather(*asking, return_exceptions=True)

    failed, answered = asyncio.run(ask())
    assert str(failed) == "no features for thirteen"
    assert isinstance(answered, np.ndarray)
    assert answered.tolist() == [1]


def test_a_full_queue_makes_callers_wait() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def ask() -> None:
        async with Batcher(recorder.encode, threads=1, queue_size=1) as batcher:
            asking = [asyncio.ensure_future(batcher.encode(window(each))) for each in range(4)]
            await until(lambda: recorder.runs == [[0]])
            recorder.gate.set()
            await asyncio.gather(*asking)

    asyncio.run(ask())
    assert recorder.runs == [[0], [1], [2], [3]]


def test_threads_are_prepared_and_end_with_the_batcher() -> None:
    prepared: list[str] = []
    recorder = Recorder()

    async def ask() -> None:
        async with Batcher(
            recorder.encode,
            threads=1,
            prepare=lambda: prepared.append(threading.current_thread().name),
        ) as batcher:
            await batcher.encode(window(1))

    asyncio.run(ask())
    assert [name.split("_")[0] for name in prepared] == ["encode"]
    assert not [each for each in threading.enumerate() if each.name in prepared]
