"""A client that writes HTTP by hand, so that it can be slow, wrong or gone."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit


class Wire:
    """A client that writes HTTP by hand."""

    def __init__(self, address: str) -> None:
        where = urlsplit(address)
        assert where.hostname
        assert where.port
        self.host = where.netloc
        self.socket = socket.create_connection((where.hostname, where.port), timeout=30)

    def start(
        self, *headers: str, method: str = "POST", path: str = "/classify?labels=red"
    ) -> None:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())

    def send(self, body: bytes) -> None:
        self.socket.sendall(body)

    def send_chunk(self, body: bytes) -> None:
        self.socket.sendall(f"{len(body):x}\r\n".encode() + body + b"\r\n")

    def answer(self) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Status, headers by lower-case name, and the body's JSON."""
        received = b""
        while b"\r\n\r\n" not in received:
            piece = self.socket.recv(65536)
            assert piece, received
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        while len(body) < int(headers["content-length"]):
            body += self.socket.recv(65536)
        return int(status.split()[1]), headers, json.loads(body)

    def is_closed_by_peer(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()
