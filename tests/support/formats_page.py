"""docs/formats.md from files that are written and read here; run as a module it prints the page."""

import io
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache

import av
from av.video.stream import VideoStream

from model.errors import VideoError
from model.video.reader import open_video
from tests.support.clips import picture
from tests.support.scheduling import kept_scheduling

HEAD = """# Formats

What happens to a file, by its container and codec. The table is made by the tests, which write each
file and read it: `python -m tests.support.formats_page > docs/formats.md`.

`yes`: the video is tagged. `no`: 415 `unsupported_codec`. `-`: FFmpeg does not write this codec
into this container. The last column is a stream without a container.

"""
FOOT = """
MP4 stands for M4V, MOV for QT and MJ2, MKV for MKA, TS for M2TS, MTS and AVCHD (packets of 188, 192
and 204 bytes), PS for MPG, VOB and DVD, ASF for WMV. FFmpeg writes no Theora and no VC-1; both are
read. Everything is recognised by its bytes, not by the name or the `Content-Type`.

## Animated pictures

| file | what happens |
|---|---|
| GIF, WebP, APNG, AVIF or HEIC sequence with two frames or more | tagged for the time that one loop lasts, each frame for its own delay; delays of 0.01 s or less count 0.1 s in GIF and WebP, as in browsers; transparent parts are white |
| any picture of one frame, JPEG, PNG, HEIC, TIFF, JPEG XL | 415 `still_picture`; the text tells how to make a video of it |

## What a file may be besides

| the file | what happens |
|---|---|
| a transport stream whose clock jumps, falls back or wraps; joined recordings | the parts are shown one after the other, as ffplay does; a warning says where the clock jumps |
| a transport stream that goes on with a recording under another packet id | the first is tagged, as ffplay shows it; a warning says that there is another |
| a transport stream with missing data | tagged, with a warning that counts the places; the frame rate is that of the frames that are there |
| a program stream whose clock restarts | the parts are shown one after the other |
| a recording that starts inside a group of pictures | tagged from the first frame that can be decoded |
| a file that was cut short (MP4 with its index in front, fragmented MP4, Matroska, AVI, ASF, FLV, MXF, IVF, WebP) | tagged as far as it goes, with the warning `ends early` |
| an MP4 whose index is missing | 422 `corrupt`; the text says that the upload or recording was cut short |
| damaged frames | left out, with a warning; over 1,000 of them end the decoding |
| H.264 or HEVC with B-frames in AVI, or without a container; packed B-frames of DivX and Xvid | times in the order of display, as in MP4 |
| Matroska whose times are all 0 | the header's frame rate counts |
| a picture (cover, preview) beside the film | the film is tagged, wherever the picture lies and whichever is marked as default |
| several films in one file | the one marked as default, else the first |
| rotation, mirroring, pixels that are not square, edit lists | as a player shows them |
| HDR (PQ, HLG) | tone mapped to BT.709, with a warning |
| interlaced video | one field of each frame is shown, with a warning |
| more than 8 bits per colour | reduced to 8, with a warning |
| up to 38 megapixels per frame (8K, also 8192x4320 and 8192x4608) | tagged; larger ones 422 `too_large_picture` (`KINOLEX_MAX_PIXELS`) |
| only sound or subtitles | 422 `no_video_stream` |
| DRM | 422 `encrypted` |
| a web page, playlist, archive, document, sound or text file | 415 `not_a_video`; the text says what it is |

Which formats are allowed, and why, is
[decision 38](decisions/0038-which-formats-are-decoded.md).
"""  # noqa: E501  # rows of Markdown tables
# Heading -> FFmpeg's name of the container.
CONTAINERS = {
    "MP4": "mp4",
    "MOV": "mov",
    "3GP": "3gp",
    "MKV": "matroska",
    "WebM": "webm",
    "AVI": "avi",
    "TS": "mpegts",
    "PS": "mpeg",
    "FLV": "flv",
    "Ogg": "ogg",
    "ASF": "asf",
    "MXF": "mxf",
    "IVF": "ivf",
    "raw": "raw",
}
# Name on the page -> FFmpeg's encoder, and what differs from yuv420p at 176x144 and 25 frames/s.
CODECS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "H.264": ("libx264", {}),
    "H.265 (HEVC)": ("libx265", {"options": {"x265-params": "log-level=none"}}),
    "AV1": ("libsvtav1", {}),
    "VP8": ("libvpx", {}),
    "VP9": ("libvpx-vp9", {}),
    "MPEG-4 part 2 (DivX, Xvid)": ("mpeg4", {}),
    "MPEG-2": ("mpeg2video", {}),
    "MPEG-1": ("mpeg1video", {}),
    "MS MPEG-4 v2": ("msmpeg4v2", {}),
    "MS MPEG-4 v3 (DivX 3)": ("msmpeg4", {}),
    "WMV 7": ("wmv1", {}),
    "WMV 8": ("wmv2", {}),
    "H.263": ("h263", {}),
    "Sorenson H.263": ("flv", {}),
    "Motion JPEG": ("mjpeg", {"format": "yuvj420p"}),
    "ProRes": ("prores_ks", {"format": "yuv422p10le"}),
    "DV": ("dvvideo", {"size": (720, 576)}),
    "DNxHR": (
        "dnxhd",
        {"format": "yuv422p", "size": (256, 144), "options": {"profile": "dnxhr_sq"}},
    ),
    "CineForm": ("cfhd", {"format": "yuv422p10le"}),
    "FFV1": ("ffv1", {}),
    "uncompressed": ("rawvideo", {}),
    "Ut Video": ("utvideo", {}),
    "MagicYUV": ("magicyuv", {"format": "yuv444p"}),
    "QuickTime Animation": ("qtrle", {"format": "rgb24"}),
    "FFVHuff": ("ffvhuff", {}),
    "JPEG 2000": ("jpeg2000", {}),
    "Screen video (Flash)": ("flashsv", {"format": "bgr24"}),
}
_STARTS_WITH_CODES = {"H.264", "H.265 (HEVC)"}
_NEEDS_CODES = {"avi", "mpegts", "mpeg", "h264", "hevc"}
# These carry any bytes as private data; a player knows only the codecs of their standard.
_CARRY_ANYTHING = {"mpegts", "mpeg"}
# Containers from which packets are copied into those that PyAV does not encode into.
_SOURCES = ["matroska", "mov", "avi"]
_RAW = {"H.264": "h264", "H.265 (HEVC)": "hevc"}


@cache
def _encoded(codec: str, container: str) -> bytes:
    name, other = CODECS[codec]
    size = other.get("size", (176, 144))
    assert isinstance(size, tuple)
    width, height = map(int, size)
    buffer = io.BytesIO()
    with kept_scheduling(), av.open(buffer, "w", format=container) as output:
        options = other.get("options", {})
        stream = output.add_stream(name, rate=25, options=options)  # type: ignore[call-overload]  # options are objects
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = width, height
        stream.pix_fmt = str(other.get("format", "yuv420p"))
        stream.codec_context.thread_count = 1
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(picture("red", width, height, number), "rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return buffer.getvalue()


def _copied(data: bytes, container: str) -> bytes | None:
    """Copy the packets into another container; None where it does not hold the codec."""
    buffer = io.BytesIO()
    try:
        with (
            av.open(io.BytesIO(data), "r") as source,
            av.open(buffer, "w", format=container) as output,
        ):
            stream = source.streams.video[0]
            copy = output.add_stream_from_template(stream)
            copy.time_base = stream.time_base
            for packet in source.demux(stream):
                if packet.size:
                    packet.stream = copy
                    output.mux(packet)
    except (av.error.FFmpegError, ValueError):
        return None
    return buffer.getvalue()


def _outcome(data: bytes) -> str:
    try:
        with open_video(io.BytesIO(data)) as video:
            video.decode([0.0, video.info.duration_seconds / 2], short_side=32)
    except VideoError as error:
        return "no" if error.code == "unsupported_codec" else f"`{error.code}`"
    return "yes"


def _file(codec: str, container: str) -> bytes | None:
    """Return a file with the codec in the container; None where FFmpeg cannot write it."""
    sources = ["mpegts"] if codec in _STARTS_WITH_CODES and container in _NEEDS_CODES else _SOURCES
    for source in (container, *sources):
        with suppress(av.error.FFmpegError, ValueError):
            data = _encoded(codec, source)
            return data if source == container else _copied(data, container)
    return None


def outcomes(codec: str) -> list[str]:
    """What happens to a codec in each of CONTAINERS: yes, an error's code, or - if impossible."""
    found = []
    for name in CONTAINERS.values():
        container = _RAW.get(codec) if name == "raw" else name
        data = None if container is None else _file(codec, container)
        outcome = "-" if data is None else _outcome(data)
        found.append("-" if outcome != "yes" and container in _CARRY_ANYTHING else outcome)
    return found


def page() -> str:
    """The page in Markdown."""
    rows = [["codec", *CONTAINERS], ["---"] * (len(CONTAINERS) + 1)]
    rows += [[codec, *outcomes(codec)] for codec in CODECS]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows) + FOOT


if __name__ == "__main__":
    sys.stdout.write(page())
