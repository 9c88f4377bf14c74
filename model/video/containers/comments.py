"""Count the tags in the headers of Ogg and ASF files."""

from model.video.containers import limits
from model.video.containers.limits import refuse_over
from model.video.containers.source import Source

_COMMENT_HEADERS = (b"\x81theora", b"\x03vorbis", b"OpusTags", b"OVP80\x02 ")
_HEADER_BYTES = 4 << 20
_PAGE_HEADER = 27
# Objects of the ASF header (Microsoft, Advanced Systems Format, chapter 3) with a count of 16 bits.
_ASF_TAG_OBJECTS = tuple(
    map(
        bytes.fromhex,
        (
            "40a4d0d207e3d21197f000a0c95ea850",  # extended content description
            "eacbf8c5af5b77488467aa8c44fa4cca",  # metadata
            "941c23449894d149a1411d134e457054",  # metadata library
        ),
    )
)
_ASF_OBJECT_BYTES = 24


def check_ogg(source: Source) -> None:
    """Raise ExpensiveVideo if a stream has more comments than an ordinary one."""
    found = 0
    for data in _ogg_streams(source.read(0, _HEADER_BYTES)):
        for kind in _COMMENT_HEADERS:
            start = data.find(kind)
            while start >= 0:
                place = start + len(kind)
                place += 4 + int.from_bytes(data[place : place + 4], "little")
                # A comment has at least a length of 4 bytes.
                count = int.from_bytes(data[place : place + 4], "little")
                found += min(count, source.size // 4)
                refuse_over(limits.MAX_TAGS, found, "tags")
                start = data.find(kind, start + 1)


def _ogg_streams(data: bytes) -> list[bytearray]:
    """Return the bytes of each stream, whose packets may go on from page to page (RFC 3533)."""
    streams: dict[bytes, bytearray] = {}
    start = data.find(b"OggS")
    while start >= 0:
        header = data[start : start + _PAGE_HEADER]
        lengths = data[start + _PAGE_HEADER : start + _PAGE_HEADER + header[-1]]
        first = start + _PAGE_HEADER + len(lengths)
        end = first + sum(lengths)
        streams.setdefault(header[14:18], bytearray()).extend(data[first:end])
        start = data.find(b"OggS", end)
    return [*streams.values()]


def check_asf(source: Source) -> None:
    """Raise ExpensiveVideo if the header has more tags than an ordinary one."""
    data = source.read(0, _HEADER_BYTES)
    found = 0
    for kind in _ASF_TAG_OBJECTS:
        start = data.find(kind)
        while start >= 0:
            place = start + _ASF_OBJECT_BYTES
            found += int.from_bytes(data[place : place + 2], "little")
            refuse_over(limits.MAX_TAGS, found, "tags")
            start = data.find(kind, start + 1)
