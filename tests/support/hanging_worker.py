"""A worker that hangs before it is ready, while the file that its device names exists."""

import signal
import socket
from pathlib import Path

from app.decode.protocol import MAX_MESSAGE_BYTES, Ready, StartRendering, VideoFacts, encode
from app.decode.worker_loop import read_arguments
from model.video.reader import VideoInfo

_FACTS = VideoFacts(VideoInfo(3.0, 25.0, 64, 48, 0, "h264"))


def main() -> None:
    start, (connection_fd,) = read_arguments(StartRendering)
    with socket.socket(fileno=connection_fd) as connection:
        while Path(start.device).exists():
            signal.pause()
        connection.send(encode(Ready()))
        while connection.recv(MAX_MESSAGE_BYTES):
            connection.send(encode(_FACTS))


if __name__ == "__main__":
    main()
