"""Our streaming form reader against Starlette's form parser: one upload from chunks to a digest.

Run as `python -m benchmarks.speed.uploads`. Each way runs in a process of its own, without a
socket, and ends with a file that can be read and its SHA-256. Prints one JSON line for each.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.lowlevel
from anyio import to_thread
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.types import Message

from app.settings import MIB, Settings
from app.upload.admission import Admission
from app.upload.intake import receive_video

_CHUNK_BYTES = 64 * 1024
_HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
_END = b"\r\n--x--\r\n"
_WAYS = ("ours", "starlette")


def chunks(size_bytes: int) -> Iterator[bytes]:
    """A form with one file of this size, as a server would hand it to the application."""
    yield _HEAD
    block = bytes(range(256)) * (_CHUNK_BYTES // 256)
    for _ in range(size_bytes // _CHUNK_BYTES):
        yield block
    yield _END


def request_of(size_bytes: int) -> Request:
    """A request whose body is that form, without a Content-Length."""
    body = chunks(size_bytes)

    async def receive() -> Message:
        # reading from a socket lets other tasks run, too
        await anyio.lowlevel.checkpoint()
        chunk = next(body, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    content_type = (b"content-type", b"multipart/form-data; boundary=x")
    return Request({"type": "http", "headers": [content_type]}, receive)


async def ours(size_bytes: int, folder: Path) -> str:
    """The SHA-256 of the file that `receive_video` makes."""
    settings = Settings(max_upload_bytes=size_bytes, upload_dir=folder)
    admission = Admission(slots=1, queue_size=1, max_uploads=1, max_wait_seconds=60.0)
    async with receive_video(request_of(size_bytes), settings, admission) as upload:
        return upload.video.sha256


async def starlette(size_bytes: int, folder: Path) -> str:
    """The SHA-256 of the file that Starlette's parser makes, read once more for it."""
    tempfile.tempdir = str(folder)
    async with request_of(size_bytes).form() as form:
        file = form["file"]
        assert isinstance(file, UploadFile)
        return await to_thread.run_sync(sha256, file.file)


def sha256(file: BinaryIO) -> str:
    """The digest of what is in the file, in hex."""
    digest = hashlib.sha256()
    while block := file.read(MIB):
        digest.update(block)
    return digest.hexdigest()


async def measure(way: str, size_bytes: int) -> dict[str, object]:
    """Throughput, memory and the longest time for which the event loop did nothing else."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            started = time.perf_counter()
            await anyio.sleep(0.001)
            longest = max(longest, time.perf_counter() - started - 0.001)

    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            digest = await {"ours": ours, "starlette": starlette}[way](size_bytes, Path(folder))
            group.cancel_scope.cancel()
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "way": way,
        "mib": size_bytes // MIB,
        "mib_per_s": round(size_bytes / MIB / seconds, 1),
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2),
        "peak_memory_growth_mib": round((after.ru_maxrss - before.ru_maxrss) / 1024, 1),
        "longest_stall_ms": round(1000 * longest, 1),
        "sha256": digest[:12],
    }


def main() -> None:
    """Measures both ways, or the one that is named."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mib", type=int, default=512, help="size of the upload")
    options.add_argument("--way", choices=_WAYS)
    given = options.parse_args()
    if given.way:
        print(json.dumps(anyio.run(measure, given.way, given.mib * MIB)))
        return
    for way in _WAYS:
        command = [
            sys.executable,
            "-m",
            "benchmarks.speed.uploads",
            f"--mib={given.mib}",
            f"--way={way}",
        ]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
