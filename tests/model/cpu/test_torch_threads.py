"""The number of torch threads is set for one thread only."""

import threading
from collections.abc import Callable, Generator

import pytest
import torch

from model.cpu.torch_threads import use_cores


@pytest.fixture(autouse=True)
def three_by_default() -> Generator[None]:
    default = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(default)


def in_threads(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_number_is_set_for_the_calling_thread_only() -> None:
    seen: dict[str, int] = {}

    def work() -> None:
        use_cores(1)
        seen["working"] = torch.get_num_threads()

    in_threads(work)
    in_threads(lambda: seen.update(later=torch.get_num_threads()))
    assert seen == {"working": 1, "later": 3}


def test_concurrent_callers_do_not_restore_each_others_number() -> None:
    for _ in range(50):
        in_threads(*[lambda: use_cores(1)] * 4)
    seen: list[int] = []
    in_threads(lambda: seen.append(torch.get_num_threads()))
    assert seen == [3]
