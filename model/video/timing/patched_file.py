"""A file in which some bytes are replaced as they are read."""

from bisect import bisect_left
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray


class PatchedFile:
    """A reader over a file object that replaces fields of one length.

    `at` are the positions of the fields, int64 (N,), and `values` their new bytes, uint8 (N, K).
    Fields do not overlap.
    """

    def __init__(self, file: BinaryIO, at: NDArray[np.int64], values: NDArray[np.uint8]) -> None:
        order = np.argsort(at)
        self._file = file
        self._at = at[order]
        self._values = values[order]
        self._position = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position as `io.IOBase.seek` does, and return it."""
        if whence == 2:
            self._position = self._file.seek(offset, 2)
        else:
            self._position = offset + (self._position if whence else 0)
        return self._position

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        start = self._position
        self._file.seek(start)
        chunk = self._file.read(size)
        self._position += len(chunk)
        length = self._values.shape[1]
        index = bisect_left(self._at, start - length + 1)
        if index == len(self._at) or self._at[index] >= self._position:
            return chunk
        patched = bytearray(chunk)
        while index < len(self._at) and (at := int(self._at[index]) - start) < len(chunk):
            first = max(0, -at)
            field = self._values[index, first : len(chunk) - at].tobytes()
            patched[at + first : at + first + len(field)] = field
            index += 1
        return bytes(patched)
