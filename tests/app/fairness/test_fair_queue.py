"""Everybody's next item is served before anybody's second one."""

import asyncio

import pytest

from app.fairness.fair_queue import FairAsyncQueue, FairQueue
from app.fairness.requesters import Requester, as_requester, current_requester

ANN, BOB = Requester("ann"), Requester("bob")


def drained(queue: FairQueue[str]) -> list[str]:
    return [queue.pop() for _ in range(len(queue))]


def test_clients_are_served_in_rotation() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "a3"):
        queue.push(item, ANN)
    queue.push("b1", BOB)

    assert drained(queue) == ["a1", "b1", "a2", "a3"]


def test_the_requests_of_a_client_are_served_in_rotation_and_each_in_order() -> None:
    queue: FairQueue[str] = FairQueue()
    second = Requester("ann")
    for item in ("a1", "a2", "a3"):
        queue.push(item, ANN)
    for item in ("x1", "x2"):
        queue.push(item, second)

    assert drained(queue) == ["a1", "x1", "a2", "x2", "a3"]


def test_many_requests_of_one_client_do_not_delay_another() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(100):
        queue.push(f"a{number}", Requester("ann"))
    queue.push("b", BOB)

    assert "b" in [queue.pop(), queue.pop()]


def test_only_clients_that_may_have_an_item_get_one() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("a", ANN)
    queue.push("b", BOB)

    assert queue.pop(lambda client: client == "bob") == "b"
    with pytest.raises(IndexError):
        queue.pop(lambda client: client == "bob")
    assert drained(queue) == ["a"]


def test_a_removed_item_is_not_served() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("a1", ANN)
    queue.push("a2", ANN)
    queue.remove("a1", ANN)
    queue.remove("a1", ANN)
    queue.remove("b", BOB)

    assert (len(queue), queue.waiting_of("ann"), queue.waiting_of("bob")) == (1, 1, 0)
    assert drained(queue) == ["a2"]
    assert not list(queue.clients)


def test_it_is_known_how_many_are_served_before() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(10):
        queue.push(f"a{number}", ANN)
    queue.push("b", BOB)

    assert queue.ahead_of("ann") == 11
    assert queue.ahead_of("bob") == 3
    assert queue.ahead_of("eve") == 2


def test_an_asyncio_queue_belongs_to_the_requester_of_each_task() -> None:
    async def served() -> list[str]:
        queue: FairAsyncQueue[str] = FairAsyncQueue()

        async def put(requester: Requester, *items: str) -> None:
            with as_requester(requester):
                assert current_requester() is requester
                for item in items:
                    await queue.put(item)

        await put(ANN, "a1", "a2", "a3")
        await put(BOB, "b1")
        return [await queue.get() for _ in range(4)]

    assert asyncio.run(served()) == ["a1", "b1", "a2", "a3"]
