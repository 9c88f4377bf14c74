"""Count the tags in the headers of Ogg and ASF files."""

from model.video.containers import limits
from model.video.containers.limits import refuse_over
from model.video.containers.source import Source

_COMMENT_HEADERS = (b"\x81theora", b"\x03vorbis", b"OpusTags", b"OVP80\x02 ")
_HEADER_BYTES = 1 << 18
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
    data = source.read(0, _HEADER_BYTES)
    found = 0
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
