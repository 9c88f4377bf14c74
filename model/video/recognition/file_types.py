"""Recognise a file's type by its first bytes and boxes, where FFmpeg does not report it.

FFmpeg reads images as videos of one frame, reports a damaged container like random bytes, and
hides encryption.
"""

from typing import BinaryIO

from model.video.file_view import FileView, file_size
from model.video.recognition.truncation import last_box_end

_IMAGE_MAGIC = (
    b"GIF87a",
    b"GIF89a",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\x00",
    b"MM\x00*",
    b"8BPS",
    b"\xff\x0a",
    b"\x00\x00\x00\x0cJXL ",
    b"\x00\x00\x00\x0cjP  ",
)
# Pictures and sequences of them: of any codec, of AV1, H.264 and H.265.
_IMAGE_BRANDS = {b"mif1", b"mif2", b"msf1", b"avif", b"avis", b"avci", b"avcs"} | {
    start + profile for start in (b"hei", b"hev") for profile in (b"c", b"x", b"m", b"s")
}
_CONTAINER_MAGIC = (
    b"\x1aE\xdf\xa3",
    b"FLV\x01",
    b"OggS",
    b"0&\xb2u\x8ef\xcf\x11",
    b"\x00\x00\x01\xba",
)
_BOX_TYPES = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx"}
# MP4 boxes that may contain an `encv` box -> offset in bytes of the boxes inside. In a sample
# description (`stsd`) these follow a version and a count.
_PARENT_BOXES = {
    b"moov": 8,
    b"trak": 8,
    b"mdia": 8,
    b"minf": 8,
    b"stbl": 8,
    b"stsd": 16,
}
_MAX_BOXES = 4096


def is_image(head: bytes) -> bool:
    """Whether a file that starts with these bytes is an image, still or animated."""
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    bitmap = head[:2] == b"BM" and head[6:10] == bytes(4)
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    return head.startswith(_IMAGE_MAGIC) or webp or bitmap or brand in _IMAGE_BRANDS


def is_gif(head: bytes) -> bool:
    """Whether a file that starts with these bytes is GIF."""
    return head.startswith((b"GIF87a", b"GIF89a"))


def may_move(file: BinaryIO, head: bytes) -> bool:
    """Whether an image file is of a kind that FFmpeg reads as a video if it is animated."""
    if is_gif(head) or head.startswith(b"\x89PNG"):
        return True
    # AVIF and HEIF: an animation has a track, a picture only an item.
    kinds: set[bytes] = set()
    if head[4:8] == b"ftyp":
        last_box_end(FileView(file), file_size(file), kinds)
    return b"moov" in kinds


def is_container(head: bytes) -> bool:
    """Whether a file that starts with these bytes is a video container, perhaps a damaged one."""
    avi = head[:4] == b"RIFF" and head[8:11] == b"AVI"
    # Packets of 188 bytes, or of 192 with a time code in front (AVCHD).
    transport_stream = b"\x47\x47" in (head[0:189:188], head[4:197:192])
    boxes = head[4:8] in _BOX_TYPES
    return head.startswith(_CONTAINER_MAGIC) or avi or transport_stream or boxes


def has_encrypted_track(file: BinaryIO) -> bool:
    """Whether an MP4 header describes an encrypted video track (an `encv` box).

    Needed only where no packet can be decoded; the packets of other files are marked as encrypted.
    """
    view = FileView(file)
    ranges = [(0, file_size(file))]
    for _ in range(_MAX_BOXES):
        if not ranges:
            return False
        position, end = ranges.pop()
        view.seek(position)
        header = view.read(16)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if kind == b"encv":
            return True
        box_end = min(position + size, end) if size else end
        if size >= 8 and box_end < end:
            ranges.append((box_end, end))
        if kind in _PARENT_BOXES:
            ranges.append((position + _PARENT_BOXES[kind], box_end))
    return False
