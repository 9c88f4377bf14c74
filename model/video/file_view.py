"""Read one file object through several independent positions."""

from typing import BinaryIO

from model.video.cost import check_cost


class FileView:
    """A reader with its own position over a shared file object, up to `end` where it is given.

    It has no `name`, because FFmpeg also guesses a format by a name's suffix, such as `.m3u8`.
    """

    __slots__ = ("_end", "_file", "_position")

    def __init__(self, file: BinaryIO, end: int | None = None) -> None:
        self._file = file
        self._end = end
        self._position = 0

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes. Raises ExpensiveVideo as `check_cost` does."""
        check_cost()
        if self._end is not None:
            size = max(0, min(size, self._end - self._position))
        self._file.seek(self._position)
        chunk = self._file.read(size)
        self._position += len(chunk)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position as `io.IOBase.seek` does, and return it."""
        start = (0, self._position, self._size() if whence == 2 else 0)[whence]
        self._position = start + offset
        return self._position

    def _size(self) -> int:
        return file_size(self._file) if self._end is None else self._end

    def tell(self) -> int:
        """Return the position."""
        return self._position


def file_size(file: BinaryIO) -> int:
    """Return the file's size in bytes; moves its position."""
    return file.seek(0, 2)
