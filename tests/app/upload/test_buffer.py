"""Buffers of uploads: what is written is sealed, in memory or on the disk."""

import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from app.errors import UploadTooLarge
from app.upload.buffer import Piece, SealedFile, UploadBuffer, UploadBuffers
from tests.support.descriptors import open_files
from tests.support.paths import ROOT

MEMORY = 1000


def received(pieces: list[bytes], folder: Path, *, expected_bytes: int = 0) -> SealedFile:
    buffer = UploadBuffer(folder, MEMORY, expected_bytes=expected_bytes)
    buffer.write(pieces[:1])
    buffer.write(pieces[1:])
    return buffer.seal()


@pytest.mark.parametrize("expected_bytes", [0, 10 * MEMORY], ids=["unannounced", "announced"])
@pytest.mark.parametrize(
    "sizes", [[0], [1], [MEMORY], [MEMORY + 1], [999, 1, 1], [10, 5000, 3]], ids=str
)
def test_what_was_written_is_read_back_with_its_size_and_digest(
    sizes: list[int], expected_bytes: int, tmp_path: Path
) -> None:
    pieces = [os.urandom(size) for size in sizes]

    sealed = received(pieces, tmp_path, expected_bytes=expected_bytes)

    with os.fdopen(sealed.fd, "rb") as file:
        content = file.read()
    assert content == b"".join(pieces)
    assert sealed.size_bytes == sum(sizes)
    assert sealed.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", [10, 5 * MEMORY], ids=["memory", "disk"])
def test_a_sealed_file_cannot_be_changed(size: int, tmp_path: Path) -> None:
    sealed = received([bytes(size)], tmp_path)

    for change in (
        lambda: os.write(sealed.fd, b"x"),
        lambda: os.ftruncate(sealed.fd, 0),
        lambda: os.ftruncate(sealed.fd, size + 1),
    ):
        with pytest.raises((PermissionError, OSError)):
            change()
    os.close(sealed.fd)


def test_an_upload_has_a_name_in_no_folder(tmp_path: Path) -> None:
    sealed = received([bytes(5 * MEMORY)], tmp_path)

    assert list(tmp_path.iterdir()) == []
    os.close(sealed.fd)


@pytest.mark.parametrize("size", [10, 5 * MEMORY], ids=["memory", "disk"])
def test_a_closed_buffer_leaves_no_open_file_behind(size: int, tmp_path: Path) -> None:
    before = open_files("kinolex-uploads")
    buffer = UploadBuffer(tmp_path, MEMORY)
    buffer.write([bytes(size)])
    buffer.seal()
    held = open_files("kinolex-uploads") + open_files(str(tmp_path))
    buffer.close()

    assert len(held) == len(before) + 1
    assert open_files("kinolex-uploads") + open_files(str(tmp_path)) == before


@pytest.mark.parametrize(
    ("memory", "size", "expected", "is_quick"),
    [
        (1 << 30, 1 << 20, 0, True),
        (1 << 30, (1 << 20) + 1, 0, False),  # in memory, but takes long to hash
        (MEMORY, MEMORY, 0, True),
        (MEMORY, MEMORY + 1, 0, False),  # this byte moves it to the disk
        (
            MEMORY,
            10,
            MEMORY + 1,
            False,
        ),  # announced over the limit: on the disk from the start
    ],
)
def test_small_files_in_memory_are_written_without_a_thread(
    memory: int, size: int, expected: int, is_quick: bool, tmp_path: Path
) -> None:
    async def pieces() -> AsyncIterator[list[Piece]]:
        yield [(0, bytes(size))]

    async def receive() -> None:
        async with UploadBuffers(
            tmp_path, memory, max_bytes=size, expected_bytes=expected
        ) as buffers:
            assert buffers.is_quick(size) == is_quick
            [file] = await buffers.receive(pieces())
            assert buffers.is_quick() == is_quick
            assert file.size_bytes == size

    anyio.run(receive)


def test_files_are_limited_together(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[list[Piece]]:
        yield [(0, bytes(6)), (1, bytes(4))]
        yield [(1, b"x")]

    async def receive(max_bytes: int) -> list[int]:
        async with UploadBuffers(tmp_path, MEMORY, max_bytes=max_bytes, max_files=2) as buffers:
            return [file.size_bytes for file in await buffers.receive(pieces())]

    assert anyio.run(receive, 11) == [6, 5]
    with pytest.raises(UploadTooLarge, match="10 bytes"):
        anyio.run(receive, 10)


FULL_DISK = """
import resource, sys
from pathlib import Path
from app.errors import StorageFull
from app.upload.buffer import UploadBuffer

buffer = UploadBuffer(Path(sys.argv[1]), 10)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    buffer.write([bytes(5000)])
except StorageFull as error:
    print(error.code)
"""


def test_a_full_disk_is_reported_as_such(tmp_path: Path) -> None:
    # a limit on the size of files stands for the disk, in a process of its own
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert outcome.stdout == "storage_full\n", outcome.stderr
