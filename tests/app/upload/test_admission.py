"""Which requests are admitted, which wait and which are refused."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack

import anyio
import pytest

from app.errors import Overloaded
from app.fairness.requesters import Requester, as_requester
from app.upload.admission import Admission

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_admission(
    *,
    slots: int = 1,
    queue_size: int = 2,
    max_uploads: int = 8,
    clock: Callable[[], float] = time.monotonic,
) -> Admission:
    return Admission(
        slots=slots,
        queue_size=queue_size,
        max_uploads=max_uploads,
        max_wait_seconds=60.0,
        clock=clock,
    )


class Crowd:
    """Tasks that each take a permit and keep it until `go` is set."""

    def __init__(self, admission: Admission, within: float = 60.0) -> None:
        self.admission = admission
        self.within = within
        self.working: list[int] = []
        self.go = anyio.Event()

    async def work(self, number: int) -> None:
        with anyio.fail_after(self.within):
            async with self.admission.permit():
                self.working.append(number)
                await self.go.wait()


async def test_no_more_permits_are_in_use_than_there_are_slots() -> None:
    crowd = Crowd(make_admission(slots=2))
    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(crowd.work, number)
        await anyio.wait_all_tasks_blocked()
        assert crowd.working == [0, 1]
        crowd.go.set()
    assert crowd.working == [0, 1, 2, 3]


async def test_a_request_that_finds_the_queue_full_is_refused_before_its_body() -> None:
    crowd = Crowd(make_admission(slots=1, queue_size=2))
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(crowd.work, number)
        await anyio.wait_all_tasks_blocked()

        with pytest.raises(Overloaded), crowd.admission.upload():
            pytest.fail("a body is received in vain")

        crowd.go.set()
    with crowd.admission.upload():
        await crowd.work(4)


async def test_an_admitted_request_waits_although_the_queue_filled_up_meanwhile() -> None:
    crowd = Crowd(make_admission(slots=1, queue_size=1))
    async with anyio.create_task_group() as group:
        group.start_soon(crowd.work, 0)
        with crowd.admission.upload():
            group.start_soon(crowd.work, 1)
            await anyio.wait_all_tasks_blocked()
        group.start_soon(crowd.work, 2)
        await anyio.wait_all_tasks_blocked()
        crowd.go.set()
    assert crowd.working == [0, 1, 2]


async def test_a_started_video_is_never_refused() -> None:
    crowd = Crowd(make_admission(slots=1, queue_size=1))
    async with anyio.create_task_group() as group:
        for number in range(2):
            group.start_soon(crowd.work, number)
        await anyio.wait_all_tasks_blocked()

        async def go_on() -> None:
            async with crowd.admission.permit(is_started=True):
                crowd.working.append(99)

        group.start_soon(go_on)
        await anyio.wait_all_tasks_blocked()
        crowd.go.set()
    assert crowd.working == [0, 1, 99]


async def test_uploads_are_bounded() -> None:
    admission = make_admission(max_uploads=1)
    with admission.upload(), pytest.raises(Overloaded), admission.upload():
        pytest.fail("one upload too many")
    with admission.upload():
        pass


async def test_a_request_that_would_miss_its_deadline_is_refused_at_once() -> None:
    # 45 permits ahead and its own, half a second each before one is measured: 23 of 22.8 seconds
    crowd = Crowd(make_admission(queue_size=100), within=30.4)
    async with anyio.create_task_group() as group:
        for number in range(45):
            group.start_soon(crowd.work, number)
            await anyio.wait_all_tasks_blocked()

        with pytest.raises(Overloaded) as refusal:
            await crowd.work(45)
        assert refusal.value.retry_after_seconds == 23
        crowd.go.set()
    assert crowd.working == list(range(45))


async def test_retry_after_follows_the_rate_at_which_permits_are_released() -> None:
    clock = Clock()
    admission = make_admission(slots=2, queue_size=3, clock=clock)
    for _ in range(100):
        async with admission.permit(is_started=True):
            clock.now += 8.0
    crowd = Crowd(admission)
    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(crowd.work, number)
        await anyio.wait_all_tasks_blocked()

        # two at work and three in the queue: five permits of eight seconds, two at a time
        with pytest.raises(Overloaded) as refusal, admission.upload():
            pytest.fail("the queue is full")
        assert refusal.value.retry_after_seconds == 20
        crowd.go.set()


# Functions, because mypy takes an attribute for unchanged from one line to the next.
def is_alone(admission: Admission) -> bool:
    return admission.is_alone


def is_in_use(admission: Admission) -> bool:
    return admission.is_in_use


async def test_one_permit_in_use_with_an_empty_queue_is_alone() -> None:
    crowd = Crowd(make_admission(slots=2))
    assert is_alone(crowd.admission)
    async with anyio.create_task_group() as group:
        group.start_soon(crowd.work, 0)
        await anyio.wait_all_tasks_blocked()
        assert is_alone(crowd.admission)
        with crowd.admission.upload():
            assert not is_alone(crowd.admission)
        group.start_soon(crowd.work, 1)
        await anyio.wait_all_tasks_blocked()
        assert not is_alone(crowd.admission)
        crowd.go.set()


async def test_in_use_covers_uploads_permits_and_two_seconds_after_the_last_permit() -> None:
    clock = Clock()
    admission = make_admission(clock=clock)
    assert not is_in_use(admission)
    with admission.upload():
        assert is_in_use(admission)
    assert not is_in_use(admission)
    async with admission.permit(is_started=True):
        clock.now += 60.0
        assert is_in_use(admission)
    clock.now += 1.9
    assert is_in_use(admission)
    clock.now += 0.2
    assert not is_in_use(admission)


async def test_a_cancelled_wait_leaves_the_queue() -> None:
    crowd = Crowd(make_admission(slots=1, queue_size=1))
    async with anyio.create_task_group() as group:
        group.start_soon(crowd.work, 0)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(crowd.work, 1)
            await anyio.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
        group.start_soon(crowd.work, 2)
        await anyio.wait_all_tasks_blocked()
        crowd.go.set()
    assert crowd.working == [0, 2]


async def test_failed_work_releases_its_permit() -> None:
    admission = make_admission(slots=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="bad"):
            async with admission.permit(is_started=True):
                raise ValueError("bad")
    assert admission.wait_seconds == 0


async def test_one_client_with_all_its_permits_does_not_hold_up_another() -> None:
    admission = make_admission(slots=3, queue_size=2)
    crowd = Crowd(admission)
    async with anyio.create_task_group() as group:
        with as_requester(Requester("ann")):
            for number in range(5):
                group.start_soon(crowd.work, number)
        await anyio.wait_all_tasks_blocked()
        assert len(crowd.working) == 3
        with pytest.raises(Overloaded), as_requester(Requester("ann")):
            admission.check()

        with as_requester(Requester("bob")):
            admission.check()
            group.start_soon(crowd.work, 99)
        await anyio.wait_all_tasks_blocked()
        assert crowd.working[-1] == 99
        crowd.go.set()
    assert len(crowd.working) == 6


async def test_a_client_waits_for_one_request_of_every_other_client() -> None:
    admission = make_admission(slots=1, queue_size=100)
    crowd = Crowd(admission)
    crowd.go.set()
    async with anyio.create_task_group() as group, AsyncExitStack() as stack:
        for client in ("eve", "ivo"):  # all permits that there are
            with as_requester(Requester(client)):
                await stack.enter_async_context(admission.permit())
        with as_requester(Requester("ann")):
            for number in range(10):
                group.start_soon(crowd.work, number)
        await anyio.wait_all_tasks_blocked()
        with as_requester(Requester("bob")):
            group.start_soon(crowd.work, 99)
        await anyio.wait_all_tasks_blocked()
        assert not crowd.working
    assert crowd.working.index(99) <= 1


async def test_uploads_of_one_client_lock_nobody_out() -> None:
    admission = make_admission(max_uploads=4)
    with ExitStack() as stack:
        with as_requester(Requester("one")):
            for _ in range(2):
                stack.enter_context(admission.upload())
            with pytest.raises(Overloaded, match="of this client"):
                admission.check()
        with as_requester(Requester("other")):
            stack.enter_context(admission.upload())

    with as_requester(Requester("one")):
        admission.check()
