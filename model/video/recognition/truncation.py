"""Tell whether a file is shorter than its own structure says."""

import struct

from model.video.file_view import FileView

_MAX_BOXES = 100_000
_EBML, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18S\x80g"
_IVF = b"DKIF"
_ASF = b"0&\xb2u\x8ef\xcf\x11"
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_HEAD_BYTES = 4096
# The key of the partition that begins an MXF file; three more bytes tell its kind.
_MXF = bytes.fromhex("060e2b34020501010d01020101")


def is_cut_short(view: FileView, size: int) -> bool:
    """Whether a file says that it is longer than `size`.

    MP4, Matroska, AVI, WebP, ASF, FLV, MXF and IVF are asked.

    False for a file of another type, and for one that does not say.
    """
    view.seek(0)
    head = view.read(_HEAD_BYTES)
    if head[:4] == b"RIFF":
        end = 8 + int.from_bytes(head[4:8], "little")
        # programs that crash while they record leave these lengths
        return end not in (8, 8 + 0xFFFFFFFF) and end > size
    if head.startswith(_EBML):
        return _segment_end(head) > size
    if head.startswith(_ASF):
        return _asf_size(head) > size
    if head.startswith(b"FLV"):
        return _flv_size(head) > size
    if head.startswith(_MXF):
        return _mxf_footer(head) >= size
    if head.startswith(_IVF):
        return _last_ivf_frame_end(view, size) > size
    return head[4:8].isalnum() and last_box_end(view, size) > size


def last_box_end(view: FileView, size: int, kinds: set[bytes] | None = None) -> int:
    """Return where the last top-level box of an MP4 says that it ends.

    `kinds` collects the types of the boxes.
    """
    return _last_box(view, size, set() if kinds is None else kinds)[1]


def cut_fragment(view: FileView, size: int) -> int | None:
    """Return where the last fragment of an MP4 starts, if its index (`moof`) is cut short."""
    start, end = _last_box(view, size, set())
    view.seek(start + 4)
    return start if end > size and view.read(4) == b"moof" else None


def _last_box(view: FileView, size: int, kinds: set[bytes]) -> tuple[int, int]:
    """Return where the last top-level box starts, and where it says that it ends."""
    position = 0
    for _ in range(_MAX_BOXES):
        view.seek(position)
        header = view.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if len(header) >= 8:
            kinds.add(header[4:8])
        if len(header) < 8 or length < 8 or position + length >= size:
            return position, position + length if length >= 8 else position
        position += length
    return position, position


def describe_missing_index(view: FileView, size: int) -> str | None:
    """Say why an MP4 has no index (`moov` box); None for one with an index, and for other files."""
    kinds: set[bytes] = set()
    last_box_end(view, size, kinds)
    if b"moov" in kinds:
        return None
    if b"moof" in kinds:
        return (
            "this is a segment of a stream without its beginning (the moov box); join both: "
            "cat init.mp4 segment.m4s > video.mp4"
        )
    if b"ftyp" in kinds:
        return "its index (the moov box) is missing: the upload or the recording was cut short"
    return None


def _segment_end(head: bytes) -> int:
    """Return where a Matroska segment ends, 0 where it does not say."""
    header_length, read = _ebml_length(head[4:12])
    position = 4 + read + header_length
    if head[position : position + 4] != _SEGMENT:
        return 0
    length, read = _ebml_length(head[position + 4 : position + 12])
    is_unknown = length == (1 << 7 * read) - 1
    return 0 if is_unknown else position + 4 + read + length


def _ebml_length(data: bytes) -> tuple[int, int]:
    """Read a number whose first bits tell how many bytes it has; return it, and that number."""
    if not data or not data[0]:
        return 0, 1
    read = 9 - data[0].bit_length()
    return int.from_bytes(data[:read], "big") & (1 << 7 * read) - 1, read


def _asf_size(head: bytes) -> int:
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0 or len(head) < at + 92:
        return 0
    is_broadcast = head[at + 88] & 1
    return 0 if is_broadcast else int.from_bytes(head[at + 40 : at + 48], "little")


def _flv_size(head: bytes) -> int:
    at = head.find(b"filesize\0")
    if at < 0 or len(head) < at + 17:
        return 0
    [size] = struct.unpack(">d", head[at + 9 : at + 17])
    return int(size) if 0 < size < 1e15 else 0


def _mxf_footer(head: bytes) -> int:
    """Return where an MXF file's last partition begins, 0 where it does not say."""
    # the length after the 16 bytes of the key has up to 9 bytes of its own
    more = head[16] & 0x7F if head[16] & 0x80 else 0
    at = 17 + more + 24
    return int.from_bytes(head[at : at + 8], "big")


def _last_ivf_frame_end(view: FileView, size: int) -> int:
    """Return where the last frame of an IVF file says that it ends."""
    view.seek(6)
    position = int.from_bytes(view.read(2), "little")
    for _ in range(_MAX_BOXES):
        if position >= size:
            break
        view.seek(position)
        # its length, and a time of 8 bytes
        position += 12 + int.from_bytes(view.read(4), "little")
    return position


def early_end(
    view: FileView, size: int, claimed_seconds: float, found_seconds: float, frame_seconds: float
) -> str | None:
    """Return a warning for a file that is cut short before the video ends, None for any other.

    `claimed_seconds` is the duration by FFmpeg, 0 where it does not say.
    """
    if not is_cut_short(view, size):
        return None
    claimed = _header_seconds(view, size, claimed_seconds)
    if claimed is None:
        return f"ends early: the file is cut short after {found_seconds:.1f} s"
    if claimed < found_seconds + 1.5 * frame_seconds:
        return None
    return f"ends early: the header says {claimed:.1f} s, the file holds {found_seconds:.1f} s"


def _header_seconds(view: FileView, size: int, claimed_seconds: float) -> float | None:
    """Return the duration by the header, where FFmpeg shortens it to what the file holds."""
    view.seek(0)
    head = view.read(_HEAD_BYTES)
    if head.startswith(_ASF):
        at = head.find(_ASF_FILE_PROPERTIES)
        play, _, preroll = struct.unpack("<QQQ", head[at + 64 : at + 88])
        return float(play / 1e7 - preroll / 1e3)
    if head[8:12] == b"AVI ":
        at = head.find(b"avih") + 8
        if at < 8 or len(head) < at + 20:
            return None
        microseconds, *_, frames = struct.unpack("<5I", head[at : at + 20])
        return float(microseconds * frames / 1e6)
    if head.startswith(_IVF):
        # in frames or in ticks: programs differ
        return None
    kinds: set[bytes] = set()
    if head[4:8].isalnum():
        last_box_end(view, size, kinds)
    return claimed_seconds if claimed_seconds and b"moof" not in kinds else None
