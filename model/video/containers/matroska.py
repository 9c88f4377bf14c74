"""Walk the elements of a Matroska or WebM file and count what they describe.

An element (RFC 8794, RFC 9559) is its number, its size and its payload; both have as many bytes as
the zero bits in front of their first one say.
"""

from collections.abc import Iterator
from itertools import count

from model.errors import ExpensiveVideo
from model.video.containers import limits
from model.video.containers.limits import refuse_over
from model.video.containers.source import MemorySource, Source, number

_SEGMENT = 0x18538067
_SEEK_HEAD, _SEEK, _SEEK_POSITION = 0x114D9B74, 0x4DBB, 0x53AC
_TRACKS, _TRACK, _TRACK_TYPE = 0x1654AE6B, 0xAE, 0x83
_ENCODINGS, _ENCODING, _COMPRESSION, _ALGORITHM = 0x6D80, 0x6240, 0x5034, 0x4254
_TAGS, _TAG, _SIMPLE_TAG = 0x1254C367, 0x7373, 0x67C8
_CHAPTERS, _EDITION, _CHAPTER = 0x1043A770, 0x45B9, 0xB6
_ATTACHMENTS, _ATTACHMENT = 0x1941A469, 0x61A7
_CUES, _CUE_POINT, _CUE_TIME = 0x1C53BB6B, 0xBB, 0xB3
_VIDEO = 1
_STRIPPED_HEADERS = 3
# More than any limit.
_MAX_COUNTED = 6_000
_MAX_SEEKS = 256
_MAX_DEPTH = 16
# Larger lists are read element by element from the file.
_MAX_READ = 1 << 20
# 5,000 entries and more; below, sorting them costs little.
_MANY_CUES = 100_000


def check_matroska(source: Source) -> None:
    """Raise ExpensiveVideo if the elements describe more than an ordinary file would."""
    for kind, start, end in _elements(source, 0, source.size):
        if kind == _SEGMENT:
            _check_segment(source, start, end)


def _elements(source: Source, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the number of each element, and where its payload begins and ends.

    Raises ExpensiveVideo if there are too many.
    """
    for index in count():
        if start >= end:
            return
        refuse_over(limits.MAX_ELEMENTS + limits.max_parts(source.size), index, "elements")
        header = source.read(start, 12)
        if len(header) < 2 or not header[0]:
            return
        length = 9 - header[0].bit_length()
        kind = number(header[:length])
        size, size_length = _size(header[length:])
        if length > 4 or not size_length:
            return
        first = start + length + size_length
        start = min(end, first + size)
        yield kind, first, start


def _size(data: bytes) -> tuple[int, int]:
    """Return a size and its own length in bytes; the length is 0 if it is not valid."""
    if not data or not data[0]:
        return 0, 0
    length = 9 - data[0].bit_length()
    mask = (1 << 7 * length) - 1
    size = number(data[:length]) & mask
    # All bits set: the element ends where its parent ends, at the latest.
    return (1 << 62 if size == mask else size), length


def _check_segment(source: Source, start: int, end: int) -> None:
    seen: set[int] = set()
    targets: list[int] = []
    for kind, first, last in _elements(source, start, end):
        if kind == _SEEK_HEAD:
            targets += _seek_targets(source, first, last)
        seen.add(first)
        _check_list(source, kind, first, last)
    for target in targets[:_MAX_SEEKS]:
        # The lists behind clusters of unknown size; FFmpeg reads them from here too.
        for kind, first, last in _elements(source, start + target, end):
            if first not in seen:
                seen.add(first)
                _check_list(source, kind, first, last)
            break


def _seek_targets(source: Source, start: int, end: int) -> list[int]:
    targets = []
    for kind, first, last in _elements(source, start, end):
        if kind == _SEEK:
            targets += [
                number(source.read(at, min(8, stop - at)))
                for inner, at, stop in _elements(source, first, last)
                if inner == _SEEK_POSITION
            ]
    return targets


def _check_list(source: Source, kind: int, start: int, end: int) -> None:
    if kind not in (_TRACKS, _TAGS, _CHAPTERS, _ATTACHMENTS, _CUES):
        return
    if end - start <= _MAX_READ:
        source, end = MemorySource(source.read(start, end - start)), end - start
        start = 0
    if kind == _TRACKS:
        _check_tracks(source, start, end)
    elif kind == _TAGS:
        tags = _count(source, start, end, _SIMPLE_TAG, (_TAG, _SIMPLE_TAG))
        refuse_over(limits.MAX_TAGS, tags, "tags")
    elif kind == _CHAPTERS:
        chapters = _count(source, start, end, _CHAPTER, (_EDITION, _CHAPTER))
        refuse_over(limits.MAX_CHAPTERS, chapters, "chapters")
    elif kind == _ATTACHMENTS:
        attachments = _count(source, start, end, _ATTACHMENT, ())
        refuse_over(limits.MAX_ATTACHMENTS, attachments, "attachments")
    elif end - start > _MANY_CUES:
        _check_cues(source, start, end)


def _count(
    source: Source, start: int, end: int, wanted: int, parents: tuple[int, ...], depth: int = 1
) -> int:
    """Count the elements of one kind, also those inside `parents`."""
    found = 0
    for kind, first, last in _elements(source, start, end):
        found += kind == wanted
        if kind in parents and depth < _MAX_DEPTH:
            found += _count(source, first, last, wanted, parents, depth + 1)
        if found > _MAX_COUNTED:
            break
    return found


def _check_tracks(source: Source, start: int, end: int) -> None:
    tracks = videos = 0
    for kind, first, last in _elements(source, start, end):
        if kind == _TRACK:
            tracks += 1
            videos += _check_track(source, first, last)
            refuse_over(limits.MAX_TRACKS, tracks, "tracks")
            refuse_over(limits.MAX_VIDEO_TRACKS, videos, "video tracks")


def _check_track(source: Source, start: int, end: int) -> bool:
    """Check one track and return whether it is a video."""
    is_video = is_compressed = False
    for kind, first, last in _elements(source, start, end):
        if kind == _TRACK_TYPE:
            is_video = number(source.read(first, min(8, last - first))) == _VIDEO
        elif kind == _ENCODINGS:
            is_compressed = _is_compressed(source, first, last)
    if is_video and is_compressed:
        # A block of 10 KB may inflate to 10 MB, and only inflating it shows that.
        raise ExpensiveVideo(
            "the video's frames are compressed a second time (zlib, bzip2 or LZO), which can hide "
            "any amount of work; write the file again without compression"
        )
    return is_video


def _is_compressed(source: Source, start: int, end: int) -> bool:
    for kind, first, last in _elements(source, start, end):
        for inner, at, stop in _elements(source, first, last) if kind == _ENCODING else ():
            if inner == _COMPRESSION:
                algorithms = [
                    number(source.read(place, min(8, ending - place)))
                    for name, place, ending in _elements(source, at, stop)
                    if name == _ALGORITHM
                ]
                # Without a number it is zlib.
                if not algorithms or algorithms[0] != _STRIPPED_HEADERS:
                    return True
    return False


def _check_cues(source: Source, start: int, end: int) -> None:
    latest = falls = 0
    for kind, first, last in _elements(source, start, end):
        if kind == _CUE_POINT:
            for inner, at, stop in _elements(source, first, last):
                if inner == _CUE_TIME:
                    time = number(source.read(at, min(8, stop - at)))
                    falls += time < latest
                    latest = time
                    break
    refuse_over(limits.MAX_UNSORTED_CUES, falls, "cues out of order")
