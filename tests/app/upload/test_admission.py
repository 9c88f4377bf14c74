"""Who works, who waits, who is sent away."""

import anyio
import pytest

from app.errors import Overloaded
from app.upload.admission import Admission

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def admission(
    *, places: int = 1, queue_size: int = 2, max_uploads: int = 8, longest_wait: float = 60.0
) -> Admission:
    return Admission(
        places=places,
        queue_size=queue_size,
        max_uploads=max_uploads,
        longest_wait_seconds=longest_wait,
    )


class Crowd:
    """Tasks that each take a turn and keep it until they are told to go."""

    def __init__(self, gate: Admission, within: float = 60.0) -> None:
        self.gate = gate
        self.within = within
        self.working: list[int] = []
        self.go = anyio.Event()

    async def take_turn(self, number: int) -> None:
        with anyio.fail_after(self.within):
            async with self.gate.permit():
                self.working.append(number)
                await self.go.wait()


async def test_only_as_many_work_as_there_are_places() -> None:
    crowd = Crowd(admission(places=2))
    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(crowd.take_turn, number)
        await anyio.wait_all_tasks_blocked()
        assert crowd.working == [0, 1]
        crowd.go.set()
    assert crowd.working == [0, 1, 2, 3]


async def test_the_first_that_finds_no_place_to_wait_is_sent_away_before_its_body() -> None:
    crowd = Crowd(admission(places=1, queue_size=2))
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(crowd.take_turn, number)
        await anyio.wait_all_tasks_blocked()

        with pytest.raises(Overloaded), crowd.gate.upload():
            pytest.fail("a body is received that nobody has time for")

        crowd.go.set()
    with crowd.gate.upload():
        await crowd.take_turn(4)


async def test_who_was_let_in_waits_although_the_queue_filled_up_meanwhile() -> None:
    crowd = Crowd(admission(places=1, queue_size=1))
    async with anyio.create_task_group() as group:
        group.start_soon(crowd.take_turn, 0)
        with crowd.gate.upload():
            group.start_soon(crowd.take_turn, 1)
            await anyio.wait_all_tasks_blocked()
        group.start_soon(crowd.take_turn, 2)
        await anyio.wait_all_tasks_blocked()
        crowd.go.set()
    assert crowd.working == [0, 1, 2]


async def test_a_video_that_was_begun_is_never_sent_away() -> None:
    crowd = Crowd(admission(places=1, queue_size=1))
    async with anyio.create_task_group() as group:
        for number in range(2):
            group.start_soon(crowd.take_turn, number)
        await anyio.wait_all_tasks_blocked()

        async def go_on() -> None:
            async with crowd.gate.permit(is_started=True):
                crowd.working.append(99)

        group.start_soon(go_on)
        await anyio.wait_all_tasks_blocked()
        crowd.go.set()
    assert crowd.working == [0, 1, 99]


async def test_uploads_are_bounded() -> None:
    gate = admission(max_uploads=1)
    with gate.upload(), pytest.raises(Overloaded), gate.upload():
        pytest.fail("one upload too many")
    with gate.upload():
        pass


async def test_who_would_not_be_done_by_its_deadline_is_sent_away_at_once() -> None:
    # 45 permits ahead and its own, half a second each before one is measured: 23 of 22.8 seconds
    crowd = Crowd(admission(queue_size=100), within=30.4)
    async with anyio.create_task_group() as group:
        for number in range(45):
            group.start_soon(crowd.take_turn, number)
            await anyio.wait_all_tasks_blocked()

        with pytest.raises(Overloaded) as refusal:
            await crowd.take_turn(45)
        assert refusal.value.retry_after_seconds == 23
        crowd.go.set()
    assert crowd.working == list(range(45))


async def test_the_time_to_come_again_follows_the_rate_at_which_turns_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("app.upload.admission.time.monotonic", lambda: now)
    gate = admission(places=2, queue_size=3)
    for _ in range(100):
        async with gate.permit(is_started=True):
            now += 8.0
    crowd = Crowd(gate)
    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(crowd.take_turn, number)
        await anyio.wait_all_tasks_blocked()

        # two at work and three before: five turns of eight seconds, two at a time
        with pytest.raises(Overloaded) as refusal, gate.upload():
            pytest.fail("there is no room")
        assert refusal.value.retry_after_seconds == 20
        crowd.go.set()


async def test_one_at_work_with_nobody_waiting_is_alone() -> None:
    crowd = Crowd(admission(places=2))
    assert crowd.gate.is_alone
    async with anyio.create_task_group() as group:
        group.start_soon(crowd.take_turn, 0)
        await anyio.wait_all_tasks_blocked()
        assert crowd.gate.is_alone
        with crowd.gate.upload():
            assert not crowd.gate.is_alone
        group.start_soon(crowd.take_turn, 1)
        await anyio.wait_all_tasks_blocked()
        assert not crowd.gate.is_alone
        crowd.go.set()


async def test_a_gate_is_in_use_while_somebody_sends_or_works_and_some_seconds_after() -> None:
    gate = admission()
    assert not gate.is_in_use
    with gate.upload():
        assert gate.is_in_use
    assert not gate.is_in_use
    async with gate.permit(is_started=True):
        assert gate.is_in_use
    assert gate.is_in_use
    with anyio.fail_after(10):
        while gate.is_in_use:
            await anyio.sleep(0.1)


async def test_who_gives_up_waiting_leaves_the_queue() -> None:
    crowd = Crowd(admission(places=1, queue_size=1))
    async with anyio.create_task_group() as group:
        group.start_soon(crowd.take_turn, 0)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(crowd.take_turn, 1)
            await anyio.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
        group.start_soon(crowd.take_turn, 2)
        await anyio.wait_all_tasks_blocked()
        crowd.go.set()
    assert crowd.working == [0, 2]


async def test_failed_work_gives_its_place_back() -> None:
    gate = admission(places=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="bad"):
            async with gate.permit(is_started=True):
                raise ValueError("bad")
    assert gate.wait_seconds == 0
