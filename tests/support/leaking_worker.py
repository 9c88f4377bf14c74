"""A worker that keeps 8 MB of each job, and answers as a decode worker does."""

import socket

from app.decode.protocol import Probe, Ready, StartDecoding, VideoFacts, encode
from app.decode.sandbox.memory_gauge import MemoryGauge
from app.decode.worker_loop import read_arguments, receive_jobs
from model.video.reader import VideoInfo

LEAKED_BYTES = 8 << 20
_INFO = VideoInfo(1.0, 25.0, 64, 48, 0, "h264")


def main() -> None:
    start, (connection_fd,) = read_arguments(StartDecoding)
    kept: list[bytearray] = []
    gauge = MemoryGauge()
    with socket.socket(fileno=connection_fd) as connection:
        connection.send(encode(Ready()))
        for _ in receive_jobs(connection, start.cpu_seconds, [Probe]):
            kept.append(bytearray(LEAKED_BYTES))
            answer = VideoFacts(
                _INFO, worn_out=gauge.resident_bytes() > start.max_memory_bytes // 4
            )
            connection.send(encode(answer))


if __name__ == "__main__":
    main()
