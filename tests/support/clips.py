"""Write small videos with known content.

Each second of a clip has one colour. Numbered frames carry their number as a row of black and white
blocks, so that a test can tell which frame it was given.
"""

import io
import tempfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from tests.support.scheduling import kept_scheduling

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 30),
    "green": (30, 180, 30),
    "blue": (30, 30, 220),
    "yellow": (220, 220, 30),
    "white": (235, 235, 235),
    "black": (16, 16, 16),
    "grey": (128, 128, 128),
}
NUMBER_BITS = 12
TIME_BASE = Fraction(1, 90_000)
SOUND_RATE = 16_000

Colour = str | tuple[int, int, int]


def picture(
    colour: Colour = "grey", width: int = 64, height: int = 48, number: int | None = None
) -> npt.NDArray[np.uint8]:
    """Make one frame, uint8 (height, width, 3), with its number in blocks along the top quarter."""
    rgb = COLOURS[colour] if isinstance(colour, str) else colour
    frame: npt.NDArray[np.uint8] = np.empty((height, width, 3), np.uint8)
    frame[:] = rgb
    if number is not None:
        edges = np.linspace(0, width, NUMBER_BITS + 1).round().astype(int)
        for bit in range(NUMBER_BITS):
            level = 235 if number >> bit & 1 else 16
            frame[: max(1, height // 4), edges[bit] : edges[bit + 1]] = level
    return frame


def read_number(frame: npt.NDArray[np.uint8]) -> int:
    """Read the number that `picture` wrote into a frame, also after resizing."""
    height, width = frame.shape[:2]
    row = frame[max(0, height // 8 - 1) : height // 8 + 1].mean(axis=(0, 2))
    edges = np.linspace(0, width, NUMBER_BITS + 1)
    middles = ((edges[:-1] + edges[1:]) / 2).astype(int)
    return sum(1 << bit for bit, x in enumerate(middles) if row[x] > 128)


def write_clip(
    target: str | Path | BinaryIO,
    *,
    seconds_colours: Sequence[Colour] = ("red", "green", "blue"),
    width: int = 64,
    height: int = 48,
    fps: float = 10,
    codec: str = "libx264",
    container: str | None = None,
    pixel_format: str = "yuv420p",
    gop: int = 12,
    b_frames: int = 0,
    frame_times: Sequence[float] | None = None,
    first_timestamp: float = 0.0,
    sample_aspect: Fraction | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    numbered: bool = False,
    audio: bool = False,
    attached_picture: bool = False,
    transfer: int | None = None,
    codec_options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
) -> None:
    """Write a clip of `len(seconds_colours)` seconds.

    `container` is FFmpeg's name (mp4 when a file object or an unknown ending is given);
    `frame_times` (seconds, sorted) makes the frame rate variable; `rotation` is the number of
    degrees clockwise that a player rotates the frames; `transfer` is FFmpeg's number of the
    transfer curve (16 PQ, 18 HLG); `numbered` writes each frame's number into the frame (see
    `read_number`).
    """
    if container is None:
        endings = {".mkv": "matroska", ".ts": "mpegts", ".webm": "webm", ".avi": "avi"}
        ending = Path(target).suffix if isinstance(target, str | Path) else ""
        container = endings.get(ending, "mp4")
    file = str(target) if isinstance(target, Path) else target
    options = dict(container_options or {})
    with kept_scheduling(), av.open(file, "w", format=container, options=options) as output:
        rate = Fraction(fps).limit_denominator(1001)
        stream = output.add_stream(codec, rate=rate)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.thread_count = 1
        if codec not in ("mjpeg", "prores", "magicyuv"):
            stream.codec_context.gop_size = gop
            stream.codec_context.max_b_frames = b_frames
        coarse = ("mpeg4", "mpeg2video", "mpeg1video", "msmpeg4", "h263", "flv", "wmv2")
        # These encoders and AVI need the frame rate as time base; all others accept a finer one.
        coarse_clock = codec in coarse or container == "avi"
        stream.codec_context.time_base = 1 / rate if coarse_clock else TIME_BASE
        time_base = stream.codec_context.time_base
        quiet = {"libx265": {"x265-params": "log-level=none"}, "libsvtav1": {"preset": "12"}}
        stream.codec_context.options = {**quiet.get(codec, {}), **dict(codec_options or {})}
        if sample_aspect is not None:
            stream.codec_context.sample_aspect_ratio = sample_aspect
        if transfer is not None:
            stream.codec_context.color_trc = transfer
            stream.codec_context.color_primaries = stream.codec_context.colorspace = 9
        if rotation or mirrored:
            stream.set_display_rotation(-rotation, hflip=mirrored)
        sound = output.add_stream("aac", rate=SOUND_RATE, layout="mono") if audio else None
        cover = output.add_stream("png", rate=1) if attached_picture else None
        if cover is not None:
            cover.width, cover.height, cover.pix_fmt = 16, 16, "rgb24"
            cover.disposition = Disposition.attached_pic
            output.mux(cover.encode(av.VideoFrame.from_ndarray(picture("white", 16, 16))))
        if frame_times is None:
            frame_times = [i / fps for i in range(round(len(seconds_colours) * fps))]
        for number, seconds in enumerate(frame_times):
            colour = seconds_colours[min(int(seconds + 1e-9), len(seconds_colours) - 1)]
            pixels = picture(colour, width, height, number if numbered else None)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.time_base = time_base
            frame.pts = round((seconds + first_timestamp) / time_base)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        if sound is not None:
            _write_silence(output, sound, len(seconds_colours))


def _write_silence(output: OutputContainer, stream: AudioStream, seconds: int) -> None:
    for block in range(0, seconds * SOUND_RATE, 1024):
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate, sound.pts = SOUND_RATE, block
        output.mux(stream.encode(sound))
    output.mux(stream.encode())


def clip_bytes(**options: object) -> bytes:
    """Return the bytes of a clip; the options are those of `write_clip`."""
    with tempfile.TemporaryDirectory() as folder:
        # A real file, because `faststart` reads it back.
        path = Path(folder) / "clip"
        write_clip(path, **options)  # type: ignore[arg-type]  # passed on as they are
        return path.read_bytes()


def sound_bytes(container: str = "mp4") -> bytes:
    """Return a file with a second of silence and no video; mp4 or matroska."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        _write_silence(output, output.add_stream("aac", rate=SOUND_RATE, layout="mono"), 1)
    return buffer.getvalue()


def jpeg_bytes(width: int, height: int) -> bytes:
    """Return a grey JPEG."""
    buffer = io.BytesIO()
    write_clip(
        buffer,
        seconds_colours=["grey"],
        fps=1,
        width=width,
        height=height,
        codec="mjpeg",
        container="image2pipe",
        pixel_format="yuvj420p",
    )
    return buffer.getvalue()


def still_bytes(kind: str = "png") -> bytes:
    """Return an image file: png, apng, jpeg, gif or avif."""
    codec, container, pixel_format = {
        "png": ("png", "image2pipe", "rgb24"),
        "jpeg": ("mjpeg", "image2pipe", "yuvj420p"),
        "gif": ("gif", "gif", "rgb8"),
        "apng": ("apng", "apng", "rgb24"),
        "avif": ("libsvtav1", "avif", "yuv420p"),
    }[kind]
    buffer = io.BytesIO()
    write_clip(
        buffer,
        seconds_colours=["red"],
        fps=1,
        width=64,
        height=64,
        codec=codec,
        container=container,
        pixel_format=pixel_format,
    )
    return buffer.getvalue()
