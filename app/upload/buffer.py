"""Buffers for uploads: in memory while small, else in a file without a name; sealed at the end."""

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import AsyncIterable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Self, TypeAlias

import anyio
from anyio import to_thread

from app.errors import StorageFull, StorageUnavailable, UploadTooLarge

# Some bytes of a file in a request: the index of the file, from 0, and the bytes.
Piece: TypeAlias = tuple[int, bytes | memoryview]

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_FOLDER = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EIO}
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_COPY_BYTES = 1024 * 1024
# Hashing and copying this many bytes in memory takes a millisecond.
_INLINE_BYTES = 1024 * 1024
# Bytes gathered before a worker thread hashes and writes them.
_WRITE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class SealedFile:
    """A received file: a read-only descriptor, the size in bytes and the SHA-256 in hex."""

    fd: int
    size_bytes: int
    sha256: str


class UploadBuffer:
    """Collects the bytes of one file and seals it. Every method may block: on the disk, or to hash.

    The file has no name in any folder and is deleted when its last descriptor is closed, however
    this process ends. The constructor and `write` raise StorageFull when no space is left.
    """

    def __init__(self, folder: Path, memory_bytes: int, *, expected_bytes: int = 0) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        with report_failing_disk():
            self.in_memory = expected_bytes <= memory_bytes
            self._fd = self._memory_file() if self.in_memory else self._disk_file()

    def write(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Append the pieces."""
        with report_failing_disk():
            for piece in pieces:
                if self.in_memory and self.size_bytes + len(piece) > self._memory_bytes:
                    self._move_to_disk()
                self._digest.update(piece)
                self.size_bytes += len(piece)
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self._fd, rest) :]

    def seal(self) -> SealedFile:
        """Make the file read-only and return it; `write` may not be called again."""
        if self.in_memory:
            fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, _SEALS)
        else:
            # a file on a disk cannot be sealed; the only writable descriptor is closed
            readable = os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)
            os.close(self._fd)
            self._fd = readable
        os.lseek(self._fd, 0, os.SEEK_SET)
        return SealedFile(self._fd, self.size_bytes, self._digest.hexdigest())

    def close(self) -> None:
        """Delete the file, sealed or not."""
        os.close(self._fd)

    def _memory_file(self) -> int:
        return os.memfd_create("kinolex-uploads", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)

    def _disk_file(self) -> int:
        # O_TMPFILE if the file system supports it; else the file is made and unlinked at once
        with tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
            return os.dup(file.fileno())

    def _move_to_disk(self) -> None:
        memory, self._fd = self._fd, self._disk_file()
        self.in_memory = False
        try:
            position = 0
            while position < self.size_bytes:
                position += os.sendfile(self._fd, memory, position, _COPY_BYTES)
        finally:
            os.close(memory)


class UploadBuffers:
    """The files of one request, each in an `UploadBuffer`, deleted when the `async with` ends.

    `memory_bytes` is divided among `max_files` files. A file larger than its share is moved to
    `folder`, or is created there if Content-Length (`expected_bytes`) is too large. `max_bytes` is
    the maximum size of all files together. The constructor raises StorageFull.
    """

    def __init__(
        self,
        folder: Path,
        memory_bytes: int,
        *,
        max_bytes: int,
        max_files: int = 1,
        expected_bytes: int = 0,
    ) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes // max_files
        self._expected_bytes = expected_bytes // max_files
        self._inline_bytes = min(_INLINE_BYTES, self._memory_bytes)
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._pending: list[Piece] = []
        self._pending_bytes = 0
        self._buffers: list[UploadBuffer] = []
        # a full disk is reported before the first byte is received
        self._buffer(0)

    async def receive(self, batches: AsyncIterable[Sequence[Piece]]) -> tuple[SealedFile, ...]:
        """Write all pieces to their files and return the sealed files, one or more.

        Raises UploadTooLarge, StorageFull, and the errors of `batches`.
        """
        async for pieces in batches:
            await self._append(pieces)
        await self._flush()
        return tuple(buffer.seal() for buffer in self._buffers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.is_quick():
            self._close()
            return
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._close)

    def is_quick(self, more_bytes: int = 0) -> bool:
        """Whether the files, with `more_bytes`, are in memory and too small to need a thread."""
        size = more_bytes + sum(buffer.size_bytes for buffer in self._buffers)
        return size <= self._inline_bytes and all(buffer.in_memory for buffer in self._buffers)

    async def _append(self, pieces: Sequence[Piece]) -> None:
        """Write pieces at once while the files are small; else gather 1 MiB per thread call."""
        size = sum(len(piece) for _, piece in pieces)
        self._size_bytes += size
        if self._size_bytes > self._max_bytes:
            raise UploadTooLarge.over(self._max_bytes)
        self._pending += pieces
        self._pending_bytes += size
        if self._pending_bytes >= _WRITE_BYTES or self.is_quick(self._pending_bytes):
            await self._flush()

    async def _flush(self) -> None:
        pieces, size = self._pending, self._pending_bytes
        self._pending, self._pending_bytes = [], 0
        if self.is_quick(size):
            self._write(pieces)
        else:
            await to_thread.run_sync(self._write, pieces)

    def _write(self, pieces: Iterable[Piece]) -> None:
        for number, group in groupby(pieces, key=itemgetter(0)):
            self._buffer(number).write(piece for _, piece in group)

    def _close(self) -> None:
        for buffer in self._buffers:
            buffer.close()

    def _buffer(self, number: int) -> UploadBuffer:
        while number >= len(self._buffers):
            buffer = UploadBuffer(
                self._folder, self._memory_bytes, expected_bytes=self._expected_bytes
            )
            self._buffers.append(buffer)
        return self._buffers[number]


@contextmanager
def report_failing_disk() -> Generator[None]:
    """Raise StorageFull or StorageUnavailable where the block cannot write to the disk."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_FOLDER:
            raise StorageUnavailable(
                f"the folder for uploads cannot be used ({error.strerror}); try again later, or "
                "send a smaller video"
            ) from error
        if error.errno not in _NO_SPACE:
            raise
        raise StorageFull(
            "no disk space is left; try again later, or send a smaller video"
        ) from error
