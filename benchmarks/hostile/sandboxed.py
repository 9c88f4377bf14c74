"""What the sandbox costs decoding: `python -m benchmarks.hostile.sandboxed`.

Processes decode a small video again and again, in turns confined as a decode worker is and not
confined, and report their processor time. Prints one JSON line.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, cast

# PyAV imports these at their first use, when no file can be opened any more.
import av.subtitles.codeccontext
import av.subtitles.stream  # noqa: F401  # imported for PyAV, see above

from app.decode.sandbox.confinement import confine_decode_worker
from app.decode.worker_loop import SharedFile
from benchmarks.harness.clips import SMALL, encoded
from benchmarks.harness.paths import ROOT
from model.video.reader import open_video
from model.video.sampling import SamplingConfig

_SAMPLING = SamplingConfig(clips=1, frames_per_clip=8)
_SHORT_SIDE = 160
_MEMORY_BYTES = 2 << 30


def decode_seconds(video: Path, decodes: int, *, is_confined: bool) -> float:
    """Return the processor time of one decode in a new process, the mean of several."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        options = ["--child", str(theirs.fileno()), "--decodes", str(decodes)]
        command = [sys.executable, "-m", "benchmarks.hostile.sandboxed", str(video), *options]
        subprocess.run(
            [*command, *(["--confined"] if is_confined else [])],
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            check=True,
        )
        return float(ours.recv(100))


def _decode(video: Path, decodes: int, connection_fd: int, *, is_confined: bool) -> None:
    fd = os.open(video, os.O_RDONLY)
    with socket.socket(fileno=connection_fd) as connection:
        if is_confined:
            sandbox = confine_decode_worker(_MEMORY_BYTES)
            assert sandbox.seccomp
            assert sandbox.landlock_abi
        _decode_once(fd)
        started = time.process_time()
        for _ in range(decodes):
            _decode_once(fd)
        connection.send(f"{(time.process_time() - started) / decodes}".encode())


def _decode_once(fd: int) -> None:
    with open_video(cast("BinaryIO", SharedFile(fd))) as video:
        video.decode(video.times(_SAMPLING).ravel(), short_side=_SHORT_SIDE)


def main() -> int:
    """Measure both in turns."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile.sandboxed", description=__doc__
    )
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--decodes", type=int, default=100, help="decodes of each process")
    parser.add_argument("--confined", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        _decode(options.video, options.decodes, options.child, is_confined=options.confined)
        return 0
    with TemporaryDirectory() as name:
        video = options.video or encoded(SMALL, Path(name))
        pairs = [
            tuple(
                decode_seconds(video, options.decodes, is_confined=is_confined)
                for is_confined in (False, True)
            )
            for _ in range(options.rounds)
        ]
    print(
        json.dumps(
            {
                "cpu_ms_open": round(1000 * statistics.median(one for one, _ in pairs), 2),
                "cpu_ms_confined": round(1000 * statistics.median(one for _, one in pairs), 2),
                "throughput_ratio": round(statistics.median(a / b for a, b in pairs), 4),
                "rounds": options.rounds,
                "decodes_each": options.decodes,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
