"""Where an upload waits."""

import hashlib
import os
from pathlib import Path

import pytest

from app.errors import StorageFull
from app.upload.buffer import SealedFile, Spool, Spools

MEMORY = 1000


def received(pieces: list[bytes], folder: Path, *, expected_bytes: int = 0) -> SealedFile:
    spool = Spool(folder, MEMORY, expected_bytes=expected_bytes)
    spool.write(pieces[:1])
    spool.write(pieces[1:])
    return spool.seal()


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
def test_nobody_can_change_a_sealed_file(size: int, tmp_path: Path) -> None:
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


def test_a_closed_spool_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    before = list(Path("/proc/self/fd").iterdir())
    for size in (10, 5 * MEMORY):
        spool = Spool(tmp_path, MEMORY)
        spool.write([bytes(size)])
        spool.seal()
        spool.close()

    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)


@pytest.mark.parametrize(
    ("memory", "size", "expected", "is_light"),
    [
        (1 << 30, 1 << 20, 0, True),
        (1 << 30, (1 << 20) + 1, 0, False),  # in memory, but long to hash
        (MEMORY, MEMORY, 0, True),
        (MEMORY, MEMORY + 1, 0, False),  # this byte takes it to the disk
        (MEMORY, 10, MEMORY + 1, False),  # announced as long, so on the disk from the start
    ],
)
def test_files_are_light_as_long_as_they_are_short_and_in_memory(
    memory: int, size: int, expected: int, is_light: bool, tmp_path: Path
) -> None:
    spools = Spools(tmp_path, memory, expected_bytes=expected)

    assert spools.are_light(size) == is_light
    spools.write([(0, bytes(size))])
    assert spools.are_light() == is_light
    spools.close()


def test_a_full_disk_is_said_as_such() -> None:
    spool = Spool(Path("/tmp"), 10)
    # /dev/full stands for the disk: every write to it fails for want of room
    spool._fd = os.open("/dev/full", os.O_WRONLY)
    spool._in_memory = False

    with pytest.raises(StorageFull):
        spool.write([b"x"])
    spool.close()
