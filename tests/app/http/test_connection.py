"""Connections of slow, endless or broken requests end with a problem, and nobody waits for them."""

import asyncio
import select
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse

from app.http.connection import BoundedConnection
from app.http.origin_guard import OriginGuard
from tests.support.listening import running_server
from tests.support.wire import Wire


class ShortConnection(BoundedConnection):
    """Small limits, so that a test reaches them at once."""

    max_head_bytes = 2048
    max_headers = 5
    max_framing_bytes = 1024
    head_seconds = 0.3
    write_seconds = 0.3


def echo_app() -> FastAPI:
    app = FastAPI()
    app.add_middleware(OriginGuard, allowed_hosts=(), allowed_origins=(), open_paths=("/open",))

    @app.get("/")
    async def root() -> str:
        return "root"

    @app.get("/open")
    async def probe() -> str:
        return "open"

    @app.post("/")
    async def size(request: Request) -> int:
        return len(await request.body())

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        async def zeros() -> AsyncGenerator[bytes]:
            while True:
                yield bytes(65536)
                # once nobody is connected, sending does not wait
                await asyncio.sleep(0)

        return StreamingResponse(zeros())

    return app


@contextmanager
def serving(connection: type[BoundedConnection] = ShortConnection) -> Iterator[str]:
    with running_server(echo_app(), connection) as address:
        yield address


@pytest.fixture(scope="module")
def short() -> Iterator[str]:
    with serving() as address:
        yield address


def refusal(wire: Wire) -> tuple[int, str]:
    """Status and code of a problem after which the connection ends."""
    status, headers, problem = wire.answer()
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert problem["status"] == status
    assert wire.is_closed_by_peer()
    return status, problem["code"]


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /?" + b"a" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", id="path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 3000, id="value"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a" * 3000, id="name"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 6, id="count"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
            + b"a: b\r\n" * 6,
            id="trailers",
        ),
    ],
)
def test_a_head_over_the_limits_is_refused_while_it_arrives(
    head: bytes, short: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(short)
    wire.send(head)

    assert refusal(wire) == (431, "head_too_large")


def test_a_header_without_end_costs_no_more_than_the_limit(
    make_wire: Callable[[str], Wire],
) -> None:
    with serving(BoundedConnection) as address:
        wire = make_wire(address)
        wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        sent = 0
        try:
            while sent < 16 << 20:
                wire.send(b"a" * 65536)
                sent += 65536
        except OSError:
            pass

    assert sent < 16 << 20


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param(b"1\r\nx\r\n" * 2000, id="chunks of a byte"),
        pytest.param(b"1;" + b"x" * 4000, id="extension"),
        pytest.param(b"0\r\nTrailer: " + b"x" * 4000, id="trailer"),
    ],
)
def test_a_body_that_is_mostly_framing_is_refused(
    framing: bytes, short: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(short)
    wire.start("Transfer-Encoding: chunked", path="/")
    for start in range(0, len(framing), 500):
        try:
            wire.send(framing[start : start + 500])
        except OSError:  # refused already
            break

    assert refusal(wire)[0] in (400, 431)


def test_chunks_of_a_usual_size_arrive(short: str, make_wire: Callable[[str], Wire]) -> None:
    wire = make_wire(short)
    wire.start("Transfer-Encoding: chunked", path="/")
    for _ in range(500):
        wire.send_chunk(b"x" * 20)
    wire.send(b"0\r\n\r\n")

    assert wire.answer()[::2] == (200, 10_000)  # type: ignore[comparison-overlap]  # an answer of the probe is not JSON


@pytest.mark.parametrize("digits", ["9" * 19, "0" * 5000 + "4", "9" * 1000])
def test_an_absurd_length_is_refused(digits: str, make_wire: Callable[[str], Wire]) -> None:
    with serving(BoundedConnection) as address:
        wire = make_wire(address)
        wire.start(f"Content-Length: {digits}", path="/")

        assert refusal(wire) == (400, "malformed_request")


def test_half_a_head_is_waited_for_for_a_limited_time(
    short: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(short)
    wire.send(b"GET / HTTP/1.1\r\nHost: ")

    assert refusal(wire) == (408, "head_timeout")


def test_a_connection_without_a_request_is_closed(
    short: str, make_wire: Callable[[str], Wire]
) -> None:
    assert make_wire(short).is_closed_by_peer()


def test_half_a_second_head_on_a_connection_is_waited_for_for_a_limited_time(
    short: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(short)
    wire.start(method="GET", path="/")
    assert wire.answer()[2] == "root"  # type: ignore[comparison-overlap]  # an answer of the probe is not JSON
    wire.send(b"GET / HTTP/1.1\r\nHost: ")

    assert refusal(wire) == (408, "head_timeout")


def test_two_requests_at_once_get_two_answers(short: str, make_wire: Callable[[str], Wire]) -> None:
    wire = make_wire(short)
    wire.start(method="GET", path="/")
    wire.start(method="GET", path="/open")

    received = b""
    while not received.endswith(b'"open"'):
        received += wire.socket.recv(65536)
    assert received.count(b"HTTP/1.1 200") == 2


def test_a_client_that_reads_nothing_is_disconnected(
    short: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(short)
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.start(method="GET", path="/endless")

    poll = select.poll()
    poll.register(wire.socket, select.POLLHUP | select.POLLERR)
    # nothing was read: the server's answer still fills the buffers of both sides
    assert poll.poll(30_000)


# As Java's client offers HTTP/2 with every request.
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"


@pytest.mark.parametrize("piece_bytes", [1, 7, 10_000])
@pytest.mark.parametrize(
    "framed",
    [  # each body looks like another request
        b"Content-Length: 29\r\n\r\nGET /open HTTP/1.0\r\nHost: x\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1d\r\nGET /open HTTP/1.0\r\nHost: x\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_request_that_offers_another_protocol_is_answered_with_its_body(
    framed: bytes, piece_bytes: int, make_wire: Callable[[str], Wire]
) -> None:
    post = b"POST / HTTP/1.1\r\nHost: localhost\r\n" + OFFER + framed
    get = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + OFFER + b"\r\n"
    sent = post + get + get
    with serving(BoundedConnection) as address:
        wire = make_wire(address)
        for start in range(0, len(sent), piece_bytes):
            wire.send(sent[start : start + piece_bytes])
        received = b""
        while received.count(b'"root"') < 2 and (piece := wire.socket.recv(65536)):
            received += piece

    bodies = [answer.partition(b"\r\n\r\n")[2] for answer in received.split(b"HTTP/1.1 200 OK")]
    assert bodies[1:] == [b"29", b'"root"', b'"root"']


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00\x01\x00", b"\0\0\0\0\n"])
def test_what_is_not_http_gets_a_problem(
    junk: bytes, short: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(short)
    wire.send(junk)

    assert refusal(wire) == (400, "malformed_request")


@pytest.mark.parametrize(
    ("hosts", "status", "code"),
    [
        (["localhost", "localhost"], 400, "malformed_request"),
        (["localhost", "evil.example"], 400, "malformed_request"),
        (["localhost/evil.example"], 400, "malformed_request"),
        (["evil.example\\@localhost"], 400, "malformed_request"),
        (["evil.example"], 403, "host_not_allowed"),
        ([], 403, "host_not_allowed"),
    ],
)
def test_a_host_that_is_ambiguous_or_foreign_is_refused(
    hosts: list[str], status: int, code: str, short: str, make_wire: Callable[[str], Wire]
) -> None:
    wire = make_wire(short)
    wire.send("".join(["GET / HTTP/1.1\r\n", *(f"Host: {h}\r\n" for h in hosts), "\r\n"]).encode())
    answered, _, problem = wire.answer()

    assert (answered, problem["code"]) == (status, code)


@pytest.mark.parametrize(
    "head", [b"GET /open HTTP/1.0\r\n\r\n", b"GET /open HTTP/1.1\r\nHost: pod.example\r\n\r\n"]
)
def test_a_probe_needs_no_host(head: bytes, short: str, make_wire: Callable[[str], Wire]) -> None:
    wire = make_wire(short)
    wire.send(head)

    assert wire.answer()[::2] == (200, "open")  # type: ignore[comparison-overlap]  # an answer of the probe is not JSON
