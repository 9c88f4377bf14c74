"""A worker that keeps 8 MB of each job, and says of itself what a decode process says."""

import json
import socket
import sys

from app.decode.worker import READY, is_worn_out, jobs

_LEAK_BYTES = 8 << 20


def main() -> None:
    kept = []
    with socket.socket(fileno=int(sys.argv[2])) as parent:
        parent.send(READY)
        for _ in jobs(parent, cpu_seconds=60):
            kept.append(bytearray(_LEAK_BYTES))
            worn_out = is_worn_out(json.loads(sys.argv[1])["max_memory_bytes"])
            answer = {"worn_out": worn_out, "height": 1, "width": 1, "warnings": []}
            parent.send(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
