"""Walk the boxes of an MP4 or QuickTime file and count what they describe.

Boxes are those of ISO/IEC 14496-12 and Apple's QuickTime File Format. A box is 4 bytes of size, 4
of type, and its payload.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from model.video.containers import limits
from model.video.containers.limits import refuse_over
from model.video.containers.source import MemorySource, Source, number

# Boxes that contain boxes -> offset of these in the payload.
_PARENTS = dict.fromkeys(
    [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"mvex", b"moof", b"traf"], 0
) | dict.fromkeys([b"mfra", b"ilst", b"tref", b"cmov", b"wide", b"hoov"], 0)
_TAGS = (b"udta", b"ilst")
_MAX_DEPTH = 10  # FFmpeg descends no further
# Flags of `trun`: each sample has a duration, size, flags or offset in the file.
_LISTED_SAMPLES = 0xF00
_SOUND = b"soun"


@dataclass(slots=True)
class _Track:
    """What one track describes. Times of `edits` are in the clock of the movie."""

    kind: bytes = b""
    clock: int = 1
    number: int = 0
    samples: int = 0
    ticks: int = 0
    edits: list[int] = field(default_factory=list)
    is_constant_sound: bool = False


@dataclass(slots=True)
class _Totals:
    boxes: int = 0
    key_systems: int = 0
    tags: int = 0
    descriptions: int = 0
    fragments: int = 0
    movie_clock: int = 1
    unlisted: int = 0
    tracks: list[_Track] = field(default_factory=list)
    chapter_tracks: set[int] = field(default_factory=set)


def check_mp4(source: Source) -> None:
    """Raise ExpensiveVideo if the boxes describe more than an ordinary file would."""
    totals = _Totals()
    for index, (kind, start, end) in enumerate(_boxes(source, 0, source.size)):
        refuse_over(limits.max_parts(source.size), index, "boxes")
        _visit(source, kind, start, end, totals, 1)
    _check_tracks(totals, source.size)


def _boxes(source: Source, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each box, and where its payload begins and ends."""
    while start + 8 <= end:
        header = source.read(start, 16)
        size, kind, length = number(header[:4]), header[4:8], 8
        if size == 1 and len(header) == 16:
            size, length = number(header[8:16]), 16
        elif size == 0:
            size = end - start
        if size < length or start + length > end:
            return
        yield kind, start + length, min(start + size, end)
        start += size


def _visit(source: Source, kind: bytes, start: int, end: int, totals: _Totals, depth: int) -> None:
    if kind in _PARENTS or kind == b"meta":
        if kind == b"trak":
            totals.tracks.append(_Track())
            refuse_over(limits.MAX_TRACKS, len(totals.tracks), "tracks")
        if kind == b"moof":
            _add_fragments(totals, 1)
        if depth < _MAX_DEPTH:
            first = start + (_meta_offset(source, start) if kind == b"meta" else _PARENTS[kind])
            _visit_all(source, kind, first, end, totals, depth + 1)
    elif kind in _READERS:
        _READERS[kind](source, start, end, totals)


def _visit_all(
    source: Source, parent: bytes, start: int, end: int, totals: _Totals, depth: int
) -> None:
    for kind, first, last in _boxes(source, start, end):
        if parent not in (b"moof", b"traf"):
            totals.boxes += 1
            refuse_over(limits.MAX_HEADER_BOXES, totals.boxes, "boxes in its header")
        if parent in _TAGS:
            totals.tags += 1
            refuse_over(limits.MAX_TAGS, totals.tags, "tags")
        _visit(source, kind, first, last, totals, depth)


def _meta_offset(source: Source, start: int) -> int:
    # QuickTime's has no version before its boxes.
    return 0 if source.read(start + 4, 4) == b"hdlr" else 4


def _add_fragments(totals: _Totals, count: int) -> None:
    totals.fragments += count
    refuse_over(limits.MAX_FRAGMENTS, totals.fragments, "fragments")


def _read_pssh(source: Source, start: int, end: int, totals: _Totals) -> None:
    totals.key_systems += 1
    refuse_over(limits.MAX_KEY_SYSTEMS, totals.key_systems, "key systems (pssh)")


def _read_keys(source: Source, start: int, end: int, totals: _Totals) -> None:
    totals.tags += min(number(source.read(start + 4, 4)), (end - start) // 8)
    refuse_over(limits.MAX_TAGS, totals.tags, "tags")


def _read_items(source: Source, start: int, end: int, totals: _Totals) -> None:
    # Items of a picture file, which FFmpeg searches one by one; at least 10 bytes for each.
    totals.tags += min(number(source.read(start + 4, 4)) >> 16, (end - start) // 10)
    refuse_over(limits.MAX_TAGS, totals.tags, "items")


def _read_descriptions(source: Source, start: int, end: int, totals: _Totals) -> None:
    totals.descriptions += min(number(source.read(start + 4, 4)), (end - start) // 16)
    refuse_over(limits.MAX_SAMPLE_DESCRIPTIONS, totals.descriptions, "sample descriptions")


def _read_movie_clock(source: Source, start: int, end: int, totals: _Totals) -> None:
    totals.movie_clock = _clock(source, start)


def _read_track_clock(source: Source, start: int, end: int, totals: _Totals) -> None:
    if totals.tracks:
        totals.tracks[-1].clock = _clock(source, start)


def _clock(source: Source, start: int) -> int:
    """Return the ticks per second of an `mvhd` or `mdhd` box."""
    is_long = source.read(start, 1) == b"\x01"
    return number(source.read(start + (20 if is_long else 12), 4)) or 1


def _read_handler(source: Source, start: int, end: int, totals: _Totals) -> None:
    kind = source.read(start + 8, 4)
    # A second handler, inside `minf` or `meta`, describes something else.
    if totals.tracks and not totals.tracks[-1].kind:
        totals.tracks[-1].kind = kind
        videos = sum(track.kind == b"vide" for track in totals.tracks)
        refuse_over(limits.MAX_VIDEO_TRACKS, videos, "video tracks")


def _read_sizes(source: Source, start: int, end: int, totals: _Totals) -> None:
    if totals.tracks:
        track = totals.tracks[-1]
        size, count = number(source.read(start + 4, 4)), number(source.read(start + 8, 4))
        track.samples = count if size else min(count, (end - start) // 4)


def _read_short_sizes(source: Source, start: int, end: int, totals: _Totals) -> None:
    if totals.tracks:  # sizes of four bits and more
        count = number(source.read(start + 8, 4))
        totals.tracks[-1].samples = min(count, (end - start) * 2)


def _read_track_number(source: Source, start: int, end: int, totals: _Totals) -> None:
    if totals.tracks:
        is_long = source.read(start, 1) == b"\x01"
        totals.tracks[-1].number = number(source.read(start + (20 if is_long else 12), 4))


def _read_chapter_tracks(source: Source, start: int, end: int, totals: _Totals) -> None:
    table = source.read(start, min(end - start, 4 * limits.MAX_TRACKS))
    totals.chapter_tracks |= {number(table[at : at + 4]) for at in range(0, len(table), 4)}


def _read_durations(source: Source, start: int, end: int, totals: _Totals) -> None:
    if totals.tracks:
        track = totals.tracks[-1]
        count = min(number(source.read(start + 4, 4)), (end - start) // 8)
        first = source.read(start + 8, 8)
        samples, ticks = number(first[:4]), number(first[4:])
        track.is_constant_sound = count == 1 and ticks == 1
        # Enough for a bound: an ordinary track has one duration, or about one.
        track.ticks = max(1, samples * ticks) if count == 1 else 0


def _read_edits(source: Source, start: int, end: int, totals: _Totals) -> None:
    if not totals.tracks:
        return
    head = source.read(start, 8)
    length, width = (20, 8) if head[:1] == b"\x01" else (12, 4)
    count = max(0, min(number(head[4:8]), (end - start - 8) // length))
    refuse_over(limits.MAX_EDITS, count, "edits")
    table = source.read(start + 8, count * length)
    edits = totals.tracks[-1].edits
    edits += [number(table[at : at + width]) for at in range(0, len(table), length)]


def _read_run(source: Source, start: int, end: int, totals: _Totals) -> None:
    flags, count = number(source.read(start, 4)) & 0xFFFFFF, number(source.read(start + 4, 4))
    if not flags & _LISTED_SAMPLES:
        _add_unlisted(totals, count, source.size)


def _read_fragment_index(source: Source, start: int, end: int, totals: _Totals) -> None:
    is_long = source.read(start, 1) == b"\x01"
    at = start + (30 if is_long else 22)
    _add_fragments(totals, min(number(source.read(at, 2)), (end - start) // 12))


def _read_fragment_table(source: Source, start: int, end: int, totals: _Totals) -> None:
    _add_fragments(totals, min(number(source.read(start + 12, 4)), (end - start) // 11))


def _read_inflated(source: Source, start: int, end: int, totals: _Totals) -> None:
    """Walk a compressed header (`cmvd`), whose payload is its size and a zlib stream."""
    claimed = number(source.read(start, 4))
    refuse_over(limits.MAX_INFLATED_HEADER, claimed, "bytes of compressed header")
    packed = source.read(start + 4, min(end - start, limits.MAX_INFLATED_HEADER))
    try:
        data = zlib.decompressobj().decompress(packed, limits.MAX_INFLATED_HEADER + 1)
    except zlib.error:
        return
    refuse_over(limits.MAX_INFLATED_HEADER, len(data), "bytes of compressed header")
    inner = MemorySource(data)
    for kind, first, last in _boxes(inner, 0, inner.size):
        # One inside the other: no program writes that.
        if kind not in _INFLATED:
            _visit(inner, kind, first, last, totals, 2)


def _add_unlisted(totals: _Totals, count: int, size: int) -> None:
    totals.unlisted += count
    limit = limits.MAX_UNLISTED_SAMPLES + limits.MAX_SAMPLES_PER_BYTE * size
    refuse_over(limit, totals.unlisted, "samples without a size of their own")


def _check_tracks(totals: _Totals, size: int) -> None:
    for track in totals.tracks:
        # FFmpeg makes one entry for 1,024 samples of plain sound.
        is_plain_sound = track.kind == _SOUND and track.is_constant_sound
        _add_unlisted(totals, track.samples // 160 if is_plain_sound else track.samples, size)
        if track.number in totals.chapter_tracks:
            refuse_over(limits.MAX_CHAPTERS, track.samples, "chapters")
        edited = _edited_samples(track, totals.movie_clock)
        limit = limits.MAX_EDITED_SAMPLES + limits.MAX_EDITS_PER_SAMPLE * track.samples
        refuse_over(limit, edited, "samples in its edit lists")


def _edited_samples(track: _Track, movie_clock: int) -> float:
    """Return how many samples the edits of a track cover, one that is covered twice as two."""
    if not track.ticks:
        # The durations vary: as if every edit after the first few covered a tenth.
        return track.samples * (1 + len(track.edits) / 10)
    return sum(
        min(1.0, ticks / movie_clock * track.clock / track.ticks) * track.samples
        for ticks in track.edits
    )


_READERS: dict[bytes, Callable[[Source, int, int, _Totals], None]] = {
    b"pssh": _read_pssh,
    b"keys": _read_keys,
    b"iinf": _read_items,
    b"stsd": _read_descriptions,
    b"mvhd": _read_movie_clock,
    b"mdhd": _read_track_clock,
    b"hdlr": _read_handler,
    b"stsz": _read_sizes,
    b"stz2": _read_short_sizes,
    b"tkhd": _read_track_number,
    b"chap": _read_chapter_tracks,
    b"stts": _read_durations,
    b"elst": _read_edits,
    b"trun": _read_run,
    b"sidx": _read_fragment_index,
    b"tfra": _read_fragment_table,
    b"cmvd": _read_inflated,
}
_INFLATED = (b"cmov", b"cmvd")
