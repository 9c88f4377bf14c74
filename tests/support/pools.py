"""What tests of the decode pool share: descriptors, deadlines, and a look at the processes."""

import asyncio
import os
from contextlib import contextmanager
from pathlib import Path

from app.decode.decode_pool import DecodePool
from model.video.reader import VideoLimits

PLENTY_SECONDS = 60.0


@contextmanager
def descriptor(data):
    """A memory file that holds the bytes, as an upload would be."""
    fd = os.memfd_create("upload")
    try:
        os.write(fd, data)
        yield fd
    finally:
        os.close(fd)


def soon(seconds=PLENTY_SECONDS):
    return asyncio.get_running_loop().time() + seconds


def pool_of(workers, limits=None, **options):
    return DecodePool(workers, limits or VideoLimits(), **options)


async def until(condition):
    """Waits for something that must happen; the test's timeout is the bound."""
    while not condition():
        await asyncio.sleep(0.01)


def is_alive(pid):
    return Path(f"/proc/{pid}").exists()


def status_of(pid):
    return Path(f"/proc/{pid}/status").read_text()


def count_open_files(pid="self"):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
