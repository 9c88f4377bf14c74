"""Walk the chunks of an AVI file and count what they describe.

A chunk is 4 bytes of type, 4 of size (least significant byte first) and its payload, which is
padded to an even size. The index of indexes is that of OpenDML.
"""

from collections.abc import Iterator
from itertools import count

from model.video.containers import limits
from model.video.containers.limits import refuse_over
from model.video.containers.source import Source

_INDEX_OF_INDEXES = 0
_INDEX_ENTRY_BYTES = 16
_MAX_DEPTH = 4


class _Counts:
    def __init__(self) -> None:
        self.streams = 0
        self.videos = 0
        self.tags = 0
        self.indexes = 0
        self.indexed = 0


def check_avi(source: Source) -> None:
    """Raise ExpensiveVideo if the chunks describe more than an ordinary file would."""
    _visit_all(source, 0, source.size, _Counts(), 1)


def _chunks(source: Source, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each chunk, and where its payload begins and ends.

    Raises ExpensiveVideo if there are too many.
    """
    for index in count():
        header = source.read(start, 8)
        if start + 8 > end or len(header) < 8:
            return
        refuse_over(limits.max_parts(source.size), index, "chunks")
        size = int.from_bytes(header[4:], "little")
        yield header[:4], start + 8, min(start + 8 + size, end)
        start += 8 + size + size % 2


def _visit_all(source: Source, start: int, end: int, counts: _Counts, depth: int) -> None:
    for kind, first, last in _chunks(source, start, end):
        if kind in (b"RIFF", b"LIST"):
            name = source.read(first, 4)
            if name == b"INFO":
                counts.tags += sum(1 for _ in _chunks(source, first + 4, last))
                refuse_over(limits.MAX_TAGS, counts.tags, "tags")
            elif name != b"movi" and depth < _MAX_DEPTH:
                _visit_all(source, first + 4, last, counts, depth + 1)
        elif kind == b"strh":
            counts.streams += 1
            counts.videos += source.read(first, 4) == b"vids"
            refuse_over(limits.MAX_TRACKS, counts.streams, "tracks")
            refuse_over(limits.MAX_VIDEO_TRACKS, counts.videos, "video tracks")
        elif kind == b"indx":
            _add_index(source, first, last, counts)


def _add_index(source: Source, start: int, end: int, counts: _Counts) -> None:
    head = source.read(start, 24)
    if len(head) < 24 or head[3] != _INDEX_OF_INDEXES:
        return
    room = max(0, end - start - 24) // _INDEX_ENTRY_BYTES
    entries = min(int.from_bytes(head[4:8], "little"), room)
    counts.indexes += entries
    refuse_over(limits.MAX_INDEXES, counts.indexes, "indexes")
    limit = limits.MAX_UNLISTED_SAMPLES + limits.MAX_SAMPLES_PER_BYTE * source.size
    for number in range(entries):
        entry = source.read(start + 24 + number * _INDEX_ENTRY_BYTES, 8)
        index = int.from_bytes(entry, "little")
        # Several entries may name the same index.
        counts.indexed += int.from_bytes(source.read(index + 12, 4), "little")
        refuse_over(limit, counts.indexed, "indexed frames")
