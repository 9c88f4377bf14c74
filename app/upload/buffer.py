"""Where an upload waits: memory while small, then a file without a name; sealed when whole."""

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.errors import StorageFull

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_COPY_BYTES = 1024 * 1024
# So much is hashed and copied within memory in a millisecond.
_LIGHT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A received file: a descriptor through which nobody can change it, its size and digest."""

    fd: int
    size_bytes: int
    sha256: str


class Spool:
    """Bytes on their way into a sealed file. Every method may block: on the disk, or by its size.

    The file has no name in any folder and vanishes when its last descriptor is closed, however
    this process ends. Raises StorageFull when there is no room.
    """

    def __init__(self, folder: Path, memory_bytes: int, *, expected_bytes: int = 0) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        with _room():
            self.in_memory = expected_bytes <= memory_bytes
            self._fd = self._memory_file() if self.in_memory else self._disk_file()

    def write(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Appends the pieces."""
        with _room():
            for piece in pieces:
                if self.in_memory and self.size_bytes + len(piece) > self._memory_bytes:
                    self._move_to_disk()
                self._digest.update(piece)
                self.size_bytes += len(piece)
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self._fd, rest) :]

    def seal(self) -> SealedFile:
        """No more bytes: nobody can write to the file from here on."""
        if self.in_memory:
            fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, _SEALS)
        else:
            # a file on a disk cannot be sealed; the only descriptor that can write is given up
            readable = os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_CLOEXEC)
            os.close(self._fd)
            self._fd = readable
        os.lseek(self._fd, 0, os.SEEK_SET)
        return SealedFile(self._fd, self.size_bytes, self._digest.hexdigest())

    def close(self) -> None:
        """Gives the room back; the sealed file is gone too."""
        os.close(self._fd)

    def _memory_file(self) -> int:
        return os.memfd_create("kinolex-uploads", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)

    def _disk_file(self) -> int:
        # O_TMPFILE where the file system has it, else made and unlinked at once
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


class Spools:
    """Several files that one request brings, each in a spool of its own, by number.

    They share the memory that one spool may have.
    """

    def __init__(
        self, folder: Path, memory_bytes: int, *, most: int = 1, expected_bytes: int = 0
    ) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes // most
        self._expected_bytes = expected_bytes // most
        self._light_bytes = min(_LIGHT_BYTES, self._memory_bytes)
        self._spools: list[Spool] = []
        # where there is no room at all, that is said before the first byte
        self._spool(0)

    def are_light(self, more_bytes: int = 0) -> bool:
        """Whether all of it is so little, and in memory, that nothing here is worth a thread."""
        size = more_bytes + sum(spool.size_bytes for spool in self._spools)
        return size <= self._light_bytes and all(spool.in_memory for spool in self._spools)

    def write(self, pieces: Iterable[tuple[int, bytes | memoryview]]) -> None:
        """Appends each piece to the file of its number."""
        for number, piece in pieces:
            self._spool(number).write([piece])

    def seal(self, count: int) -> tuple[SealedFile, ...]:
        """The first `count` files, also those that got no bytes."""
        return tuple(self._spool(number).seal() for number in range(count))

    def close(self) -> None:
        """Gives the room back; the sealed files are gone too."""
        for spool in self._spools:
            spool.close()

    def _spool(self, number: int) -> Spool:
        while number >= len(self._spools):
            spool = Spool(self._folder, self._memory_bytes, expected_bytes=self._expected_bytes)
            self._spools.append(spool)
        return self._spools[number]


@contextmanager
def _room() -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise StorageFull("there is no room for the upload; try a smaller one or later") from error
