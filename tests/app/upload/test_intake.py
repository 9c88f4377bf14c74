"""Uploads over a real socket: limits while bytes stream, clients that disconnect, full queues."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from app.main import create_app
from app.settings import Settings
from tests.support.clips import clip_bytes
from tests.support.descriptors import open_files
from tests.support.fakes import ColourEncoder, colour_tagger
from tests.support.servers import running_server
from tests.support.wire import Wire

RED = clip_bytes(seconds_colours=["red"])
LIMIT = 1_000_000


class GatedEncoder(ColourEncoder):
    """Encodes only while the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.videos = 0

    def features(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        self.videos += 1
        self.entered.release()
        assert self.gate.wait(30)
        return super().features(pixels)


@contextmanager
def serving(settings: Settings, encoder: ColourEncoder | None = None) -> Iterator[str]:
    app = create_app(settings, tagger=colour_tagger(encoder=encoder))
    with running_server(app) as address:
        yield address


@pytest.fixture
def small(make_settings: Callable[..., Settings], tmp_path: Path) -> Iterator[str]:
    """A service that takes a megabyte."""
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    settings = make_settings(
        max_upload_bytes=LIMIT, max_json_bytes=2048, upload_memory_bytes=100_000, upload_dir=uploads
    )
    with serving(settings) as address:
        yield address


def test_a_stream_over_the_limit_is_refused_while_it_streams(
    small: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(small)
    wire.start("Content-Type: video/mp4", "Transfer-Encoding: chunked")
    for _ in range(11):
        wire.send_chunk(bytes(LIMIT // 10))

    # the body has not ended, and the answer is there
    status, headers, problem = wire.answer()

    assert (status, problem["code"]) == (413, "upload_too_large")
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert wire.is_closed_by_peer()


def test_a_form_over_the_limit_is_refused_while_it_streams(
    small: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(small)
    wire.start("Content-Type: multipart/form-data; boundary=x", "Transfer-Encoding: chunked")
    wire.send_chunk(b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n')
    for _ in range(11):
        wire.send_chunk(bytes(LIMIT // 10))

    status, _, problem = wire.answer()

    assert (status, problem["code"]) == (413, "upload_too_large")


@pytest.mark.parametrize("expect", [["Expect: 100-continue"], []], ids=["expect", "plain"])
def test_an_announced_size_over_the_limit_is_refused_before_a_byte_is_read(
    expect: list[str], small: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(small)
    wire.start("Content-Type: video/mp4", f"Content-Length: {10 * LIMIT}", *expect)

    status, _, problem = wire.answer()

    assert (status, problem["code"]) == (413, "upload_too_large")
    assert wire.is_closed_by_peer()


def test_a_client_that_expects_a_go_ahead_gets_it_and_its_answer(
    small: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(small)
    wire.start("Content-Type: video/mp4", f"Content-Length: {len(RED)}", "Expect: 100-continue")

    assert wire.socket.recv(100).startswith(b"HTTP/1.1 100 Continue")
    wire.send(RED)

    assert wire.answer()[0] == 200


def test_json_over_its_limit_is_refused_while_it_streams(
    small: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(small)
    wire.start(
        "Content-Type: application/json", "Transfer-Encoding: chunked", method="PUT", path="/labels"
    )
    wire.send_chunk(b'{"labels": ["' + b"x" * 4096)

    status, _, problem = wire.answer()

    assert (status, problem["code"]) == (413, "upload_too_large")


def test_a_connection_outlives_a_request_that_failed(
    small: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(small)
    for content, status in ((b"no video", 415), (RED, 200)):
        wire.start("Content-Type: video/mp4", f"Content-Length: {len(content)}")
        wire.send(content)
        assert wire.answer()[0] == status


def test_an_upload_that_stalls_is_dropped(
    make_settings: Callable[..., Settings], make_wire: Callable[[str], Wire]
) -> None:
    with serving(make_settings(upload_idle_seconds=0.1)) as address:
        wire = make_wire(address)
        wire.start("Content-Type: video/mp4", "Content-Length: 1000")
        wire.send(b"x")
        status, _, problem = wire.answer()

    assert (status, problem["code"]) == (408, "upload_timeout")


def test_an_upload_that_is_never_idle_but_too_slow_is_dropped(
    make_settings: Callable[..., Settings], make_wire: Callable[[str], Wire]
) -> None:
    settings = make_settings(upload_idle_seconds=2.0, min_upload_rate=1_000_000)
    with serving(settings) as address:
        wire = make_wire(address)
        wire.start("Content-Type: video/mp4", "Content-Length: 1000000")
        wire.socket.settimeout(0.05)
        received = b""
        while not received:
            wire.send(b"x")
            with suppress(TimeoutError):
                received = wire.socket.recv(65536)

    assert received.startswith(b"HTTP/1.1 408")


def test_an_upload_that_trickles_is_dropped_too(
    make_settings: Callable[..., Settings], make_wire: Callable[[str], Wire]
) -> None:
    with serving(make_settings(upload_timeout_seconds=0.3)) as address:
        wire = make_wire(address)
        wire.start("Content-Type: video/mp4", "Content-Length: 1000000")
        wire.socket.settimeout(0.05)
        received = b""
        while not received:
            wire.send(b"x")
            try:
                received = wire.socket.recv(12)
            except TimeoutError:
                continue

    assert received == b"HTTP/1.1 408"


def upload_files() -> list[str]:
    """What this process holds open of uploads, in memory or on the disk."""
    return open_files("uploads")


def test_clients_that_disconnect_while_sending_leave_nothing_behind(
    small: str, make_wire: Callable[[str], Wire]
) -> None:
    for sent in (10, 200_000):
        wire = make_wire(small)
        wire.start("Content-Type: video/mp4", f"Content-Length: {LIMIT}")
        wire.send(bytes(sent))
        while not upload_files():
            threading.Event().wait(0.01)
        wire.close()

    last = make_wire(small)
    last.start("Content-Type: video/mp4", f"Content-Length: {len(RED)}")
    last.send(RED)
    assert last.answer()[0] == 200
    while upload_files():
        threading.Event().wait(0.01)


def send_red(wire: Wire) -> None:
    wire.start("Content-Type: video/mp4", f"Content-Length: {len(RED)}")
    wire.send(RED)


def test_no_work_is_done_for_a_client_that_disconnects_while_it_waits(
    make_settings: Callable[..., Settings], make_wire: Callable[[str], Wire]
) -> None:
    encoder = GatedEncoder()
    with serving(make_settings(), encoder) as address:
        # the first inference of all is the warm-up's
        assert encoder.entered.acquire(timeout=30)
        waiting = [make_wire(address) for _ in range(4)]
        for wire in waiting:
            send_red(wire)
        for wire in waiting[2:]:
            wire.close()
        staying = make_wire(address)
        send_red(staying)
        encoder.gate.set()
        assert staying.answer()[0] == 200
        assert [wire.answer()[0] for wire in waiting[:2]] == [200, 200]

    assert encoder.videos <= 1 + 2 + 1


def test_a_full_queue_refuses_before_the_body_and_sends_retry_after(
    make_settings: Callable[..., Settings], make_wire: Callable[[str], Wire]
) -> None:
    encoder = GatedEncoder()
    with serving(make_settings(queue_size=1), encoder) as address:
        # three at work, as there is one decode process, and one waiting
        admitted = [make_wire(address) for _ in range(4)]
        for wire in admitted:
            send_red(wire)
        while True:
            refused = make_wire(address)
            refused.start("Content-Type: video/mp4", f"Content-Length: {LIMIT}")
            refused.socket.settimeout(0.1)
            try:
                status, headers, problem = refused.answer()
                break
            except TimeoutError:
                # the four are still on their way into the queue
                refused.close()
        encoder.gate.set()
        assert [wire.answer()[0] for wire in admitted] == [200] * 4

    assert (status, problem["code"]) == (503, "overloaded")
    assert 1 <= int(headers["retry-after"]) <= 60


def test_uploads_over_max_uploads_are_refused(
    make_settings: Callable[..., Settings], make_wire: Callable[[str], Wire]
) -> None:
    with serving(make_settings(max_uploads=1)) as address:
        slow = make_wire(address)
        slow.start("Content-Type: video/mp4", f"Content-Length: {len(RED)}", "Expect: 100-continue")
        assert slow.socket.recv(100).startswith(b"HTTP/1.1 100 Continue")
        second = make_wire(address)
        send_red(second)
        assert second.answer()[2]["code"] == "overloaded"
        slow.send(RED)
        assert slow.answer()[0] == 200
