"""Shared by both worker programs: start arguments, the loop over requests, the video as a file."""

import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

from app.decode.protocol import (
    MAX_MESSAGE_BYTES,
    Request,
    StartDecoding,
    StartRendering,
    parse_request,
    parse_start,
)
from app.decode.sandbox.file_size import size_of
from app.decode.sandbox.limits import limit_cpu_time
from app.decode.wire import ProtocolError

_Start = TypeVar("_Start", StartDecoding, StartRendering)
_Request = TypeVar("_Request", bound=Request)
_MAX_DESCRIPTORS = 2


class SharedFile:
    """A file object with its own position in a descriptor whose offset other processes share."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = size_of(fd)
        self._position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence, self._size)
        self._position = offset + start
        return self._position

    def read(self, size: int) -> bytes:
        chunk = os.pread(self._fd, size, self._position)
        self._position += len(chunk)
        return chunk


def read_arguments(kind: type[_Start]) -> tuple[_Start, list[int]]:
    """Read the start message and the descriptors from this program's arguments.

    Exits with EX_PROTOCOL and a sentence on stderr if the message is invalid or of another version.
    """
    # Some managers of services send it to all processes, but jobs in progress must be finished.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        return parse_start(sys.argv[1].encode(), kind), list(map(int, sys.argv[2:]))
    except ProtocolError as error:
        print(error, file=sys.stderr)  # noqa: T201  # for the log
        sys.exit(os.EX_PROTOCOL)


def receive_jobs(
    connection: socket.socket, cpu_seconds: int, kinds: Sequence[type[_Request]]
) -> Iterator[tuple[_Request, list[int]]]:
    """Yield each request with its descriptors until the pool closes the socket.

    The descriptors are closed after the job. Each job may use `cpu_seconds` of processor time.
    Raises ProtocolError for a message that is not a request of these kinds.
    """
    while True:
        message, fds, _, _ = socket.recv_fds(connection, MAX_MESSAGE_BYTES, _MAX_DESCRIPTORS)
        if not message:
            return
        limit_cpu_time(cpu_seconds)
        yield parse_request(message, kinds), fds
        for fd in fds:
            os.close(fd)
