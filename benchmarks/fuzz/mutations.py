"""Mutate videos: bytes anywhere, and boxes, elements, packets and times where they are known."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_NUMBERS = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_PARENT_BOXES = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"moof", b"traf")
_BOXES = (
    *_PARENT_BOXES,
    *(b"stsd", b"stts", b"ctts", b"stsc", b"stsz", b"stco", b"stss", b"elst", b"tkhd", b"mvhd"),
    *(b"mdhd", b"hdlr", b"trun", b"tfhd", b"tfdt", b"sidx", b"mvex", b"trex", b"pssh", b"meta"),
    *(b"ilst", b"keys", b"avcC", b"hvcC", b"cmov", b"sgpd", b"sbgp", b"saiz", b"saio", b"uuid"),
)
_ELEMENTS = tuple(
    map(
        bytes.fromhex,
        (
            *("18538067", "1549a966", "1654ae6b", "1f43b675", "a3", "e7", "a1", "ae", "e0", "b0"),
            *("ba", "63a2", "2ad7b1", "4489", "1c53bb6b", "bb", "6d80", "1254c367", "7373"),
            *("67c8", "1043a770", "114d9b74"),
        ),
    )
)
_TIMES = (b"stts", b"ctts", b"elst", b"mdhd", b"tfdt", b"trun", b"tfhd", b"idx1", b"strh", b"avih")
# Parts of RIFF, PNG, Ogg, FLV, ASF and IVF files, and the start codes of MPEG.
_MARKS = (
    *(b"ANMF", b"VP8X", b"VP8L", b"ALPH", b"LIST", b"strf", b"indx", b"IHDR", b"acTL", b"fcTL"),
    *(b"fdAT", b"IDAT", b"OggS", b"DKIF", b"\0\0\1", b"\x21\xf9", b"\x2c", b"\x0a\x00onMetaData"),
    *(b"\xff\xc0", b"\xff\xda", b"\x06\x0e\x2b\x34"),
    *map(bytes.fromhex, ("a1dcab8c47a9cf11", "9107dcb7b7a9cf11", "3626b2758e66cf11")),
)
_MAX_BYTES = 99_000


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutated video: its number, the seed's name, and what was done to it."""

    number: int
    seed: str
    mutations: tuple[str, ...]
    data: bytes


def mutant(number: int, seeds: Mapping[str, bytes], campaign: int = 0) -> Mutant:
    """Return one mutated video; the same for the same numbers and seeds."""
    chance = random.Random((campaign << 40) + number)  # to repeat, not to keep secret
    names = sorted(seeds)
    name = names[number % len(names)]
    data = bytearray(seeds[name])
    done = []
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5))):
        mutate = chance.choice(_MUTATIONS)
        mutate(chance, data, seeds)
        done.append(mutate.__name__)
        del data[_MAX_BYTES:]
        data = data or bytearray(1)
    return Mutant(number, name, tuple(done), bytes(data))


def flip(chance: random.Random, data: bytearray, _seeds: Mapping[str, bytes]) -> None:
    """Flip single bits."""
    for _ in range(chance.choice((1, 2, 8, 32, 128))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def change_head(chance: random.Random, data: bytearray, _seeds: Mapping[str, bytes]) -> None:
    """Replace bytes at the beginning."""
    end = min(len(data), chance.choice((64, 256, 1024, 4096)))
    for _ in range(chance.choice((1, 2, 4, 8))):
        data[chance.randrange(end)] = chance.randrange(256)


def cut(chance: random.Random, data: bytearray, _seeds: Mapping[str, bytes]) -> None:
    """Remove the end."""
    del data[chance.randrange(1, len(data) + 1) :]


def remove(chance: random.Random, data: bytearray, _seeds: Mapping[str, bytes]) -> None:
    """Remove a part."""
    start = chance.randrange(len(data))
    del data[start : start + chance.choice((1, 4, 16, 188, 1024))]


def repeat(chance: random.Random, data: bytearray, _seeds: Mapping[str, bytes]) -> None:
    """Insert copies of a part."""
    start, place = chance.randrange(len(data)), chance.randrange(len(data))
    part = data[start : start + chance.choice((4, 16, 188, 512))]
    data[place:place] = part * chance.choice((1, 2, 8, 64))


def splice(chance: random.Random, data: bytearray, seeds: Mapping[str, bytes]) -> None:
    """Continue with the end of another video."""
    other = seeds[chance.choice(sorted(seeds))]
    data[chance.randrange(len(data)) :] = other[chance.randrange(len(other)) :]


def set_number(chance: random.Random, data: bytearray, _seeds: Mapping[str, bytes]) -> None:
    """Write a number at the edge of its range."""
    for _ in range(chance.choice((1, 2, 4))):
        _write(chance, data, chance.randrange(len(data)))


def change_box(chance: random.Random, data: bytearray, _seeds: Mapping[str, bytes]) -> None:
    """Resize, rename, repeat, remove or fill an MP4 box."""
    boxes = [found for found in _boxes(data) if found[2] != b"mdat"]
    if not boxes:
        return
    start, size, _kind = chance.choice(boxes)
    match chance.randrange(6):
        case 0:
            data[start : start + 4] = chance.choice(_NUMBERS).to_bytes(4, "big")
        case 1:
            data[start + 4 : start + 8] = chance.choice(_BOXES)
        case 2:
            data[start:start] = data[start : start + size] * chance.choice((1, 2, 10, 100))
        case 3:
            del data[start : start + size]
        case _:
            for _ in range(chance.choice((1, 2, 4))):
                _write(chance, data, start + 8 + 4 * chance.randrange(max(1, (size - 8) // 4)))


def change_element(chance: random.Random, data: bytearray, _seeds: Mapping[str, bytes]) -> None:
    """Resize, fill or repeat a Matroska element."""
    kind = chance.choice(_ELEMENTS)
    places = _places(data, kind)
    if not places:
        return
    start = chance.choice(places)
    match chance.randrange(3):
        case 0:
            data[start + len(kind)] = chance.choice((0x01, 0x80, 0x81, 0xFF, 0x40, 0x10, 0xFE))
        case 1:
            _write(chance, data, start + len(kind) + 1)
        case _:
            part = data[start : start + chance.choice((8, 32, 200))]
            data[start:start] = part * chance.choice((1, 4, 50))


def change_part(chance: random.Random, data: bytearray, _seeds: Mapping[str, bytes]) -> None:
    """Fill, repeat or remove a part of a container or of a stream that has a mark."""
    places = [start for mark in _MARKS for start in _places(data, mark)[:20]]
    if not places:
        return
    start = chance.choice(places)
    match chance.randrange(4):
        case 0:
            part = data[start : start + chance.choice((16, 64, 300))]
            data[start:start] = part * chance.choice((1, 8, 100))
        case 1:
            del data[start : start + chance.choice((1, 8, 64))]
        case _:
            _write(chance, data, start + 2 + chance.randrange(40))


def change_time(chance: random.Random, data: bytearray, _seeds: Mapping[str, bytes]) -> None:
    """Change the times or counts in a table of any container, or of a transport packet."""
    places = [start for kind in _TIMES for start in _places(data, kind)[:8]]
    if data[:1] == b"\x47":
        places = list(range(0, len(data), 188))
    for _ in range(chance.choice((1, 2, 4)) if places else 0):
        _write(chance, data, chance.choice(places) + 4 + chance.randrange(32))


_Mutation = Callable[[random.Random, bytearray, Mapping[str, bytes]], None]
_STRUCTURED: tuple[_Mutation, ...] = (change_box, change_element, change_part, change_time)
_MUTATIONS: tuple[_Mutation, ...] = (
    *(flip, change_head, cut, remove, repeat, splice, set_number),
    *_STRUCTURED * 3,
)


def _write(chance: random.Random, data: bytearray, place: int) -> None:
    width = chance.choice((1, 2, 4, 4, 8))
    value = chance.choice(_NUMBERS) & ((1 << 8 * width) - 1)
    if place + width <= len(data):
        data[place : place + width] = value.to_bytes(width, chance.choice(("big", "little")))


def _places(data: bytearray, kind: bytes) -> list[int]:
    places: list[int] = []
    start = data.find(kind)
    while start >= 0 and len(places) < 200:
        places.append(start)
        start = data.find(kind, start + 1)
    return places


def _boxes(data: bytearray) -> list[tuple[int, int, bytes]]:
    """Return where boxes begin, their size and type."""
    found: list[tuple[int, int, bytes]] = []
    ranges = [(0, len(data))]
    while ranges and len(found) < 400:
        start, end = ranges.pop()
        if start + 8 > end:
            continue
        size, kind = (
            int.from_bytes(data[start : start + 4], "big"),
            bytes(data[start + 4 : start + 8]),
        )
        if size < 8 or start + size > end:
            continue
        found.append((start, size, kind))
        ranges.append((start + size, end))
        if kind in _PARENT_BOXES:
            ranges.append((start + 8, start + size))
    return found
