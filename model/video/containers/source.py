"""Bytes of a file, or of a part that was inflated, read by position."""

from typing import BinaryIO, Protocol

from model.video.file_view import FileView, file_size


class Source(Protocol):
    """Bytes that are read by position; `size` is their number."""

    size: int

    def read(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes from `position` on; none outside or for a negative size."""


class FileSource:
    """The bytes of a file."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = file_size(file)
        self._view = FileView(file)

    def read(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes from `position` on."""
        if not 0 <= position < self.size or size <= 0:
            return b""
        self._view.seek(position)
        return self._view.read(min(size, self.size - position))


class MemorySource:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes from `position` on."""
        return self._data[max(0, position) : max(0, position + size)]


def number(data: bytes) -> int:
    """Return an unsigned number, most significant byte first."""
    return int.from_bytes(data, "big")
