"""Set the number of torch threads for one thread of the process."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

# Two callers at once would each restore the other's number as the default.
_LOCK = threading.Lock()


def use_cores(number: int) -> None:
    """Set the number of threads that torch uses for the calling thread's work, and for no other's.

    `torch.set_num_threads` applies to the calling thread, but also sets the number with which
    later threads start; that default is restored.
    """
    # Importing torch takes seconds, and a process that imports this room may not need it.
    import torch

    with _LOCK:
        default = torch.get_num_threads()
        torch.set_num_threads(number)
        restoring = threading.Thread(target=torch.set_num_threads, args=(default,))
        restoring.start()
        restoring.join()


@contextmanager
def one_core() -> Generator[None]:
    """Let torch use one thread for the calling thread's work in the block.

    For work on many small tensors: on a busy computer the threads of each operation wait for each
    other for longer than they compute.
    """
    import torch

    before = torch.get_num_threads()
    use_cores(1)
    try:
        yield
    finally:
        use_cores(before)
