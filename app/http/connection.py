"""HTTP/1.1 connections with limits: size and time of a request's head, framing, slow readers.

uvicorn's parser accepts headers without end, in time that grows with the square of their length,
and waits for them without a deadline. It answers what it refuses as plain text.
"""

import asyncio
import resource
import socket
import struct
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import KINDS
from app.problems import problem_document

# Descriptors that connections may use; uploads, workers and the database need the others.
_CONNECTIONS_SHARE = 0.5
# A body up to 18 digits long is larger than any disk; int() refuses more than 4,300 digits.
_MAX_LENGTH_DIGITS = 18
_NO_LINGER = struct.pack("ii", 1, 0)


class _Refused(Exception):
    """The request breaks a limit; `code` is that of the problem."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class _Parser(httptools.HttpRequestParser):
    """Reads a request that offers another protocol as one that does not, which HTTP allows.

    Java's client offers HTTP/2 with each request. httptools would take the body of such a request
    for the next request.
    """

    def __init__(self, connection: "BoundedConnection") -> None:
        super().__init__(connection)
        # as uvicorn has it
        self.set_dangerous_leniencies(lenient_data_after_close=True)
        self._connection = connection

    def feed_data(self, data: bytes | memoryview) -> None:  # type: ignore[override]  # uvicorn feeds bytes
        rest = memoryview(data)
        while rest:
            try:
                super().feed_data(rest)
                return
            except httptools.HttpParserUpgrade as offer:
                [read] = offer.args
                rest = rest[read:]
                super().feed_data(self._connection.take_offer())


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's protocol with limits; a request over one gets a problem and the connection ends.

    A connection on which nothing was asked is closed after `head_seconds`, and so is one whose
    client reads nothing of its answer for `write_seconds`. When there are too many connections, the
    one that has been idle longest makes room.
    """

    max_head_bytes: ClassVar[int] = 64 * 1024
    max_headers: ClassVar[int] = 100
    # Bytes of chunk headers, extensions and trailers beyond the number of bytes in the body.
    max_framing_bytes: ClassVar[int] = 64 * 1024
    head_seconds: ClassVar[float] = 10.0
    write_seconds: ClassVar[float] = 60.0
    # How long a connection without a request stays open when the server stops.
    farewell_seconds: ClassVar[float] = 2.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = _Parser(self)
        # The head of a request that offers another protocol, without the offer.
        self._plain_head = b""
        self._reads_head = True
        self._head_bytes = 0
        self._parsed_bytes = 0
        self._body_bytes = 0
        self._framed_bytes = 0
        self._is_last = False
        self._refusal: _Refused | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0

    def connection_made(  # type: ignore[override]  # uvicorn narrows the type as well
        self, transport: asyncio.Transport
    ) -> None:
        """Start the time for the first request's head."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._await_head()
        if len(self.connections) > _max_connections():
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        super().connection_lost(exc)
        _cancel(self._head_timer)
        _cancel(self._write_timer)
        self._head_timer = self._write_timer = None

    def data_received(self, data: bytes) -> None:
        """Parse the bytes; refuse a head or a framing over the limits."""
        if self._reads_head:
            self._head_bytes += len(data)
        else:
            self._framed_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._reads_head and self._head_bytes > self.max_head_bytes:
            self._refuse(self._head_too_large())
        elif self._framed_bytes - self._body_bytes > self.max_framing_bytes + self._body_bytes:
            self._refuse(_Refused("malformed_request", "the body is sent in chunks too small"))
        elif self._reads_head and self._head_bytes:
            self._await_head()

    def on_message_begin(self) -> None:
        """Count the bytes of a new head."""
        self._parsed_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the bytes of the request's address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, also one after the body."""
        self._count(len(name) + len(value))
        if len(self.headers) >= self.max_headers:
            self._raise(
                _Refused("head_too_large", f"the request has more than {self.max_headers} headers")
            )
        if name.lower() == b"content-length" and len(value) > _MAX_LENGTH_DIGITS:
            self._raise(_Refused("malformed_request", "Content-Length is not a plausible number"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request."""
        method = self.parser.get_method()
        if self.parser.should_upgrade() and method != b"CONNECT":
            version = self.parser.get_http_version().encode()
            lines = [b"%s %s HTTP/%s" % (method, self.url, version)]
            lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
            self._plain_head = b"\r\n".join([*lines, b"", b""])
            return
        _cancel(self._head_timer)
        self._head_timer = None
        self._reads_head = False
        # what came with the head, but for the few bytes between headers
        self._framed_bytes = self._head_bytes - self._parsed_bytes
        self._head_bytes = 0
        super().on_headers_complete()
        if self._is_last:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Count the bytes of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next head."""
        if self._plain_head:
            return
        self._reads_head = True
        self._body_bytes = self._framed_bytes = 0
        super().on_message_complete()

    def take_offer(self) -> bytes:
        """Return, once, the head of the request that offers another protocol, without the offer."""
        head, self._plain_head = self._plain_head, b""
        return head

    def on_response_complete(self) -> None:
        """Note when the connection became idle."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused with a problem instead of plain text."""
        self._refuse(
            self._refusal or _Refused("malformed_request", "the request is not valid HTTP/1.1")
        )

    def shutdown(self) -> None:
        """Close the connection after the request in progress, or after one that is on its way."""
        if self.cycle is not None and not self._head_bytes:  # type: ignore[redundant-expr]  # uvicorn's type lacks None
            super().shutdown()
            return
        self._is_last = True
        self.loop.call_later(self.farewell_seconds, self._close_unless_busy)

    def pause_writing(self) -> None:
        """Start the time in which the client must read."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.write_seconds, self._cut_off)

    def resume_writing(self) -> None:
        """Stop the time in which the client must read."""
        super().resume_writing()
        _cancel(self._write_timer)
        self._write_timer = None

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # as above

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self._end_of_patience)

    def _end_of_patience(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if not self._is_idle:
            # the client sent a part of its next request before it has the answer to this one
            self._await_head()
        elif self._head_bytes:
            within = f"within {self.head_seconds:g} s"
            self._refuse(_Refused("head_timeout", f"the request's headers did not arrive {within}"))
        else:
            self.transport.close()

    def _close_unless_busy(self) -> None:
        if self._is_idle:
            self.transport.close()

    def _cut_off(self) -> None:
        # without it the kernel would keep what was written, for minutes
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER
        )
        self.transport.abort()

    def _make_room(self) -> None:
        idle = [each for each in self.connections if isinstance(each, BoundedConnection)]
        idle = [each for each in idle if each._is_idle and not each.transport.is_closing()]
        min(idle, key=lambda each: each._idle_since).transport.abort()

    def _count(self, size: int) -> None:
        self._parsed_bytes += size
        if self._parsed_bytes > self.max_head_bytes:
            self._raise(self._head_too_large())

    def _head_too_large(self) -> _Refused:
        return _Refused(
            "head_too_large",
            f"address and headers have more than {self.max_head_bytes} bytes; send long options as "
            "fields of a form",
        )

    def _raise(self, refusal: _Refused) -> None:
        # the parser wraps what a callback raises
        self._refusal = refusal
        raise refusal

    def _refuse(self, refusal: _Refused) -> None:
        is_answering = not self._is_idle
        # bytes in the middle of another answer would be taken for a part of it
        if not (is_answering and self.cycle.response_started):
            self.transport.write(_response(refusal))
        self.transport.close()


def _response(refusal: _Refused) -> bytes:
    kind = KINDS[refusal.code]
    body = problem_document(refusal.code, refusal.detail)
    lines = [
        f"HTTP/1.1 {kind.status} {kind.title}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        "x-content-type-options: nosniff",
        "connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _max_connections() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, int(_CONNECTIONS_SHARE * soft))
