"""Count the values that the script tags at the beginning of an FLV file name.

A tag (Adobe Flash Video File Format, annex E) is its type, 3 bytes of size, 7 of time and stream,
its payload and 4 bytes of its length. Script data are values of AMF 0.
"""

from model.video.containers import limits
from model.video.containers.limits import refuse_over
from model.video.containers.source import Source, number

_HEADER_BYTES = 13
_SCRIPT = 18
# All of a file of 1.5 MB, at the 15 bytes that a tag has at least.
_MAX_FLV_TAGS = 100_000
_MAX_SCRIPT_BYTES = 1 << 20
_MAX_DEPTH = 16
_NUMBER, _BOOLEAN, _STRING, _OBJECT, _ECMA_ARRAY, _LIST, _DATE, _LONG_STRING = (
    *(0, 1, 2, 3),
    *(8, 10, 11, 12),
)
_FIXED_BYTES = {_NUMBER: 8, _BOOLEAN: 1, _DATE: 10}


def check_flv(source: Source) -> None:
    """Raise ExpensiveVideo if script tags name more values than an ordinary file does."""
    names = 0
    start = _HEADER_BYTES
    for _ in range(_MAX_FLV_TAGS):
        header = source.read(start, 11)
        if len(header) < 11:
            return
        size = number(header[1:4])
        if header[0] & 0x1F == _SCRIPT:
            script = _Script(source.read(start + 11, min(size, _MAX_SCRIPT_BYTES)))
            names += script.count_names()
            refuse_over(limits.MAX_TAGS, names, "tags")
        start += 11 + size + 4


class _Script:
    """Reads AMF values one after the other; stops at damage."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self._names = 0

    def count_names(self) -> int:
        """Return how many values have a name, or as many as are over the limit."""
        while self._place < len(self._data) and self._skip_value(0):
            pass
        return self._names

    def _skip_value(self, depth: int) -> bool:
        """Skip a value; return whether another may follow."""
        kind = self._take(1)
        if kind in _FIXED_BYTES:
            self._place += _FIXED_BYTES[kind]
        elif kind in (_STRING, _LONG_STRING):
            length = self._take(2 if kind == _STRING else 4)
            self._place += length
        elif kind in (_OBJECT, _ECMA_ARRAY) and depth < _MAX_DEPTH:
            self._place += 4 if kind == _ECMA_ARRAY else 0
            return self._skip_members(depth)
        elif kind == _LIST and depth < _MAX_DEPTH:
            return self._skip_list(depth)
        else:
            return False
        return True

    def _skip_members(self, depth: int) -> bool:
        while self._place + 3 <= len(self._data):
            length = self._take(2)
            if not length:
                self._place += 1
                return True
            self._place += length
            self._names += 1
            if self._names > limits.MAX_TAGS or not self._skip_value(depth + 1):
                return False
        return False

    def _skip_list(self, depth: int) -> bool:
        for _ in range(self._take(4)):
            if self._place >= len(self._data) or not self._skip_value(depth + 1):
                return False
        return True

    def _take(self, size: int) -> int:
        value = number(self._data[self._place : self._place + size])
        self._place += size
        return value
