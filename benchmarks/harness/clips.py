"""Synthetic videos to measure with: moving pictures with grain, encoded on first use.

With grain they cost as much to decode as filmed video. Without it x264 codes a moving pattern in
a tenth of the bits, and a decoder reads it at several times the speed.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

_RATE = 30
_CLOCK = Fraction(1, 15_360)
_GRAIN_DEVIATION = 6.0


@dataclass(frozen=True, slots=True)
class Clip:
    """A video to encode: H.264 at x264's own settings (groups of 250 frames, 3 B frames)."""

    name: str
    width: int
    height: int
    seconds: int
    kilobits_per_second: int


# The bit rates of filmed clips: Kinetics as it is distributed, and web video.
SMALL = Clip("10 s 340x256", 340, 256, 10, 400)
MIDDLE = Clip("60 s 720p", 1280, 720, 60, 3_000)
LARGE = Clip("60 s 1080p", 1920, 1080, 60, 6_000)
SECOND = Clip("1 s 340x256", 340, 256, 1, 400)


def encoded(clip: Clip, folder: Path) -> Path:
    """Path of the clip in `folder`; encodes it if the file does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    name = "-".join(map(str, astuple(clip)[1:]))
    return _made(folder / f"{name}.mp4", partial(_encode, clip))


def repeated(source: Path, times: int, folder: Path) -> Path:
    """Path of a video that plays `source` `times` times; packets are copied, none is encoded."""
    return _made(folder / f"{source.stem}-x{times}.mp4", partial(_copy, source, times=times))


def shortened(source: Path, seconds: int, folder: Path) -> Path:
    """Path of the first seconds of `source`, without the last frames if they need later ones."""
    make = partial(_copy, source, times=1, seconds=seconds)
    return _made(folder / f"{source.stem}-first{seconds}.mp4", make)


def _made(target: Path, make: Callable[[Path], None]) -> Path:
    """`target`, written by `make` if it does not exist; a crash leaves no half-written target."""
    if not target.exists():
        unfinished = target.with_suffix(f".{os.getpid()}")
        make(unfinished)
        unfinished.replace(target)
    return target


def _encode(clip: Clip, target: Path) -> None:
    with av.open(str(target), "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, "yuv420p"
        stream.bit_rate = clip.kilobits_per_second * 1000
        stream.codec_context.time_base = _CLOCK
        stream.codec_context.options = {"preset": "medium"}
        for number, picture in enumerate(_pictures(clip)):
            frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
            frame.time_base, frame.pts = _CLOCK, round(number / _RATE / _CLOCK)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


def _pictures(clip: Clip) -> Iterator[NDArray[np.uint8]]:
    """Yield planar YUV 4:2:0, uint8 (1.5 H, W): a camera pans over a texture, with grain."""
    random = np.random.default_rng(clip.width)
    height, width = clip.height, clip.width
    texture = _texture(random, height + 256, width + 512)
    grain = random.normal(0, _GRAIN_DEVIATION, (height + 64, width + 64)).astype(np.int16)
    box = min(height, width) // 4
    for number in range(clip.seconds * _RATE):
        seconds = number / _RATE
        top = round(128 + 120 * np.sin(seconds / 3))
        left = round(256 + 250 * np.sin(seconds / 5))
        luma = texture[top : top + height, left : left + width].copy()
        # a box that moves against the background
        row = round((height - box) * (0.5 + 0.5 * np.sin(1.7 * seconds)))
        column = round((width - box) * (0.5 + 0.5 * np.sin(1.1 * seconds + 1)))
        luma[row : row + box, column : column + box] = texture[:box, :box] + 20
        down, right = random.integers(0, 64, 2)
        luma += grain[down : down + height, right : right + width]
        picture = np.empty((height * 3 // 2, width), np.uint8)
        np.clip(luma, 16, 235, out=picture[:height], casting="unsafe")
        picture[height:] = np.uint8(128 + 12 * np.sin(seconds))
        yield picture


def _texture(random: np.random.Generator, height: int, width: int) -> NDArray[np.int16]:
    """int16 (height, width): spots of 8 to 128 pixels, coarse ones with more contrast."""
    texture = np.full((height, width), 120.0, np.float32)
    for size in (8, 16, 32, 64, 128):
        coarse = random.normal(0, 6 * size**0.4, (height // size + 2, width // size + 2))
        texture += np.kron(coarse, np.ones((size, size)))[:height, :width]
    return texture.astype(np.int16)


@dataclass(frozen=True, slots=True)
class _Packet:
    """A coded packet; times in ticks of its stream's time base."""

    data: bytes
    pts: int
    dts: int
    duration: int
    is_keyframe: bool


def _copy(source: Path, target: Path, *, times: int, seconds: int | None = None) -> None:
    with av.open(str(source)) as given, av.open(str(target), "w", format="mp4") as output:
        stream = given.streams.video[0]
        assert stream.time_base is not None
        assert stream.duration is not None
        copy = output.add_stream_from_template(stream)
        copy.time_base = stream.time_base
        end = None if seconds is None else seconds / stream.time_base
        packets = list(_packets(given, stream, end))
        for repetition in range(times):
            shift = repetition * stream.duration
            for packet in packets:
                again = Packet(packet.data)
                again.stream, again.time_base = copy, stream.time_base
                again.pts, again.dts = packet.pts + shift, packet.dts + shift
                again.duration, again.is_keyframe = packet.duration, packet.is_keyframe
                output.mux(again)


def _packets(given: InputContainer, stream: VideoStream, end: Fraction | None) -> Iterator[_Packet]:
    """Yield the stream's packets up to the first one that is shown at `end` or later."""
    for packet in given.demux(stream):
        if not packet.size:
            continue
        assert packet.pts is not None
        assert packet.dts is not None
        if end is not None and packet.pts >= end:
            return
        yield _Packet(
            bytes(packet), packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe
        )
