"""Tells other programs of this computer that a service uses a data folder."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_FILE = "service.lock"


@contextmanager
def hold_folder(folder: Path, address: str) -> Generator[None]:
    """Hold a lock in the data folder for the block, with the service's address in it.

    The kernel releases the lock however the process ends. A folder that cannot be written to, or
    whose file system has no locks, is left alone.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / _FILE).open("a+", encoding="utf-8")
    except OSError:
        yield
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
            file.truncate(0)
            file.write(address)
            file.flush()
        except OSError:
            pass
        yield


def address_of_service(folder: Path) -> str | None:
    """Return the address of the service that holds the data folder; None if there is none."""
    try:
        with (folder / _FILE).open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip()
    except OSError:
        return None
    return None
