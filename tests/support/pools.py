"""What tests of the decode pool share: descriptors, pools, and a look at the processes."""

import asyncio
import os
from contextlib import contextmanager
from pathlib import Path

import psutil

from app.decode.decode_pool import DecodePool
from model.video.reader import VideoLimits


@contextmanager
def descriptor(data):
    """A memory file that holds the bytes, as an upload would be."""
    fd = os.memfd_create("upload")
    try:
        os.write(fd, data)
        yield fd
    finally:
        os.close(fd)


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


def child_processes(module):
    """The ids of the processes that this one has started to run a module."""
    return {child.pid for child in psutil.Process().children() if module in _command_line(child)}


def _command_line(process):
    try:
        return process.cmdline()
    except psutil.Error:  # it ended after it was listed
        return []
