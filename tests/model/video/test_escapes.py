"""No file makes FFmpeg open another file or connect, not even outside of the sandbox."""

import ctypes
import io
import os
import select
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from model.errors import VideoError
from model.video.reader import open_video
from tests.support.clips import write_clip
from tests.support.escapes import Bait, escapes

_IN_OPEN = 0x20


class Watch:
    """What is opened in a folder: inotify(7)."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK)
        assert libc.inotify_add_watch(self.fd, os.fsencode(folder), _IN_OPEN) >= 0

    def has_seen(self) -> bool:
        return bool(select.select([self.fd], [], [], 0)[0] and os.read(self.fd, 4096))


@pytest.fixture(scope="module")
def listeners() -> Iterator[tuple[socket.socket, socket.socket]]:
    with ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        yield tcp, udp


def test_no_file_reaches_another_file_or_the_network(
    tmp_path: Path, listeners: tuple[socket.socket, socket.socket]
) -> None:
    canary = tmp_path / "canary.mp4"
    write_clip(canary)
    watch = Watch(tmp_path)
    ports = [listener.getsockname()[1] for listener in listeners]
    reached: list[str] = []
    answers: Counter[str] = Counter()
    for name, data in escapes(Bait(canary, *ports)):
        try:
            with open_video(io.BytesIO(data)) as video:
                video.decode([0.0, 0.5], short_side=16)
            answers["decoded"] += 1
        except VideoError as error:
            answers[error.code] += 1
        if watch.has_seen() or select.select(listeners, [], [], 0)[0]:
            reached.append(name)

    assert not reached
    assert answers.total() > 500
    # those with a video of their own
    assert 0 < answers["decoded"] < answers.total() / 2


def test_the_watch_and_the_listeners_notice_what_they_are_for(
    tmp_path: Path, listeners: tuple[socket.socket, socket.socket]
) -> None:
    canary = tmp_path / "canary.mp4"
    canary.touch()
    watch = Watch(tmp_path)

    assert not watch.has_seen()
    canary.read_bytes()
    assert watch.has_seen()
    tcp, _ = listeners
    with socket.create_connection(tcp.getsockname()):
        assert select.select([tcp], [], [], 10)[0]
    tcp.accept()[0].close()
