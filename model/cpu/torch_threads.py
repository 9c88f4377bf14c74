"""How many cores torch uses for a thread's work."""

import threading

# two at once would take each other's number for the usual one
_ALONE = threading.Lock()


def use_cores(number: int) -> None:
    """Have torch use so many threads for what the calling thread asks of it, and change no other's.

    The number is a thread's own, but threads that come later begin with the one set last.
    """
    # seconds of import that a process which only names labels never pays
    import torch

    with _ALONE:
        usual = torch.get_num_threads()
        torch.set_num_threads(number)
        last = threading.Thread(target=torch.set_num_threads, args=(usual,))
        last.start()
        last.join()
