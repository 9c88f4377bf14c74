"""Torch in one thread: for work so small that more of them only wait for each other."""

import threading


def use_one_core() -> None:
    """Have torch use one thread for what the calling thread asks of it, and change no other's.

    The number is a thread's own, but threads that come later begin with the one set last.
    """
    # seconds of import that a process which only names labels never pays
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    last = threading.Thread(target=torch.set_num_threads, args=(usual,))
    last.start()
    last.join()
