"""A worker in hostile hands: answers each job with the bytes that its device name spells."""

import base64
import socket

from app.decode.protocol import MAX_MESSAGE_BYTES, Ready, StartRendering, encode
from app.decode.worker_loop import read_arguments


def main() -> None:
    start, (connection_fd,) = read_arguments(StartRendering)
    with socket.socket(fileno=connection_fd) as connection:
        first, answer = map(base64.b64decode, start.device.split(","))
        connection.send(first or encode(Ready()))
        while connection.recv(MAX_MESSAGE_BYTES):
            connection.send(answer)


if __name__ == "__main__":
    main()
