"""Untrusted bytes -> an opened video stream, or the reason why not.

FFmpeg is handed a file object and nothing else: no path, no address, no other file, only the
container formats and codecs listed here. Everything that it raises leaves as a VideoError.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from model.errors import (
    CorruptVideo,
    EncryptedVideo,
    NotAVideo,
    NoVideoStream,
    PictureTooLarge,
    StillPicture,
    UnsupportedCodec,
)

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf"
# FFmpeg's name of the codec -> of its decoder. Rare and old decoders are where memory bugs
# live, so the list is what cameras, phones, screen recorders and old archives really wrote.
CODECS = {
    "h264": "h264",
    "hevc": "hevc",
    "vp8": "vp8",
    "vp9": "vp9",
    "av1": "libdav1d",
    "mpeg1video": "mpeg1video",
    "mpeg2video": "mpeg2video",
    "mpeg4": "mpeg4",
    "msmpeg4v2": "msmpeg4v2",
    "msmpeg4v3": "msmpeg4",
    "wmv1": "wmv1",
    "wmv2": "wmv2",
    "wmv3": "wmv3",
    "vc1": "vc1",
    "h263": "h263",
    "flv1": "flv",
    "theora": "theora",
    "mjpeg": "mjpeg",
    "prores": "prores",
    "dvvideo": "dvvideo",
}
# What PyAV raises for broken bytes beside its own errors: absurd table sizes (MemoryError),
# metadata that is not text (UnicodeDecodeError is a ValueError), numbers that do not fit.
FOREIGN_ERRORS = (av.error.FFmpegError, MemoryError, ValueError, OverflowError)

_PICTURE_MAGIC = (
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
_PICTURE_BRANDS = {b"avif", b"avis", b"mif1", b"msf1"} | {
    b"hei" + letter for letter in (b"c", b"x", b"m", b"s")
}
_CONTAINER_MAGIC = (
    b"\x1aE\xdf\xa3",
    b"FLV\x01",
    b"OggS",
    b"0&\xb2u\x8ef\xcf\x11",
    b"\x00\x00\x01\xba",
    b"\x00\x00\x01\xb3",
)
_BOX_TYPES = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx"}
# Smaller pictures are decoded before a second thread could help.
_LARGE_PIXELS = 1280 * 720
_NOT_THE_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """What an untrusted video may ask for; beyond it a VideoError is raised."""

    max_duration_seconds: float = 4 * 3600.0
    max_pixels: int = 8_300_000
    max_frames_per_second: float = 240.0
    # Four hours at 60 frames/s, with room: a bound for small files that claim endless frames.
    max_walked_frames: int = 1_000_000
    max_bad_packets: int = 1_000


class FileView:
    """A reader with a position of its own over a shared file object.

    It has no `name`, because FFmpeg takes an ending such as `.m3u8` for a hint.
    """

    __slots__ = ("_file", "_position")

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0

    def read(self, size: int) -> bytes:
        self._file.seek(self._position)
        chunk = self._file.read(size)
        self._position += len(chunk)
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        start = (0, self._position, file_size(self._file) if whence == 2 else 0)[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position


def file_size(file: BinaryIO) -> int:
    """Bytes in the file; moves its position."""
    return file.seek(0, 2)


@contextmanager
def open_stream(
    file: BinaryIO, limits: VideoLimits, *, threads: int = 1
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the container and choose its video stream, ready to decode.

    Pictures of 720p and more are decoded by that many threads, others by one. Raises NotAVideo,
    StillPicture, CorruptVideo, NoVideoStream, UnsupportedCodec, EncryptedVideo or
    PictureTooLarge; what the caller's file object raises passes through.
    """
    head = FileView(file).read(512)
    _refuse_pictures(head)
    try:
        container = av.open(
            FileView(file),
            "r",
            container_options={
                "protocol_whitelist": "",
                "format_whitelist": FORMATS,
                # FFmpeg decodes the first frames while it probes: only with these.
                "codec_whitelist": ",".join(CODECS.values()),
            },
            metadata_errors="replace",
        )
    except FOREIGN_ERRORS as error:
        if _looks_like_a_container(head):
            raise CorruptVideo("the container is damaged and cannot be read") from error
        raise NotAVideo("no allowed video format recognises these bytes") from error
    with container:
        try:
            stream = _choose_stream(container, limits, threads)
        except UnsupportedCodec:
            # Some encryption hides even the name of the codec.
            if has_encrypted_track(file):
                raise EncryptedVideo("the video is encrypted") from None
            raise
        yield container, stream


def _refuse_pictures(head: bytes) -> None:
    if not head:
        raise NotAVideo("the file is empty")
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    bitmap = head[:2] == b"BM" and head[6:10] == bytes(4)
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if head.startswith(_PICTURE_MAGIC) or webp or bitmap or brand in _PICTURE_BRANDS:
        raise StillPicture("this is a picture, still or animated, not a video")


def _looks_like_a_container(head: bytes) -> bool:
    avi = head[:4] == b"RIFF" and head[8:11] == b"AVI"
    # Packets of 188 bytes, or of 192 with a time code in front (AVCHD).
    transport_stream = b"\x47\x47" in (head[0:189:188], head[4:197:192])
    boxes = head[4:8] in _BOX_TYPES
    return head.startswith(_CONTAINER_MAGIC) or avi or transport_stream or boxes


def codec_name(stream: VideoStream) -> str | None:
    """FFmpeg's name of the stream's codec, None where it has no decoder for it."""
    # An unknown codec has no context at all, whatever PyAV's annotations say.
    context = getattr(stream, "codec_context", None)
    return context.codec.canonical_name if context is not None else None


def _choose_stream(container: InputContainer, limits: VideoLimits, threads: int) -> VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & _NOT_THE_VIDEO]
    if not streams:
        raise NoVideoStream("the file holds no video stream")
    allowed = [stream for stream in streams if codec_name(stream) in CODECS]
    if not allowed:
        raise UnsupportedCodec(
            f"the codec {codec_name(streams[0]) or 'of this video'} is not allowed; "
            f"allowed are {', '.join(CODECS)}"
        )
    stream = next((s for s in allowed if s.disposition & Disposition.default), allowed[0])
    context = stream.codec_context
    check_size(context.width, context.height, limits)
    # One thread costs the least CPU per video; many videos run side by side in processes.
    has_help = threads > 1 and context.width * context.height >= _LARGE_PIXELS
    context.thread_count = threads if has_help else 1
    context.thread_type = "FRAME" if has_help else "NONE"
    context.options = {"max_pixels": str(limits.max_pixels)}
    return stream


def check_size(width: int, height: int, limits: VideoLimits) -> None:
    """Raises PictureTooLarge for a picture of more pixels than the limit."""
    if width * height > limits.max_pixels:
        raise PictureTooLarge(
            f"{width}x{height} pixels are more than the limit of {limits.max_pixels}"
        )


def has_encrypted_track(file: BinaryIO) -> bool:
    """Whether an MP4 header describes an encrypted video track (`encv`).

    For files with nothing to decode: where there are packets, they say it themselves.
    """
    view = FileView(file)
    to_walk = [(0, file_size(file))]
    for _ in range(_MAX_BOXES):
        if not to_walk:
            return False
        position, end = to_walk.pop()
        view.seek(position)
        header = view.read(16)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if kind == b"encv":
            return True
        inside = min(position + size, end) if size else end
        if size >= 8 and inside < end:
            to_walk.append((inside, end))
        if kind in _BOXES_ON_THE_WAY:
            to_walk.append((position + _BOXES_ON_THE_WAY[kind], inside))
    return False


# Where the boxes inside a box begin; a sample table's follow a version and a count.
_BOXES_ON_THE_WAY = {
    b"moov": 8,
    b"trak": 8,
    b"mdia": 8,
    b"minf": 8,
    b"stbl": 8,
    b"stsd": 16,
}
_MAX_BOXES = 4096
