"""Which stream of a file is the video, where a picture lies beside it."""

import io
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from av.video.stream import VideoStream

from model.errors import UnsupportedCodec
from model.video.reader import decode, probe
from tests.support.clips import picture, read_number

CONTAINERS = {
    "mov": "libx264",
    "mp4": "libx264",
    "matroska": "libx264",
    "avi": "mpeg4",
    "asf": "wmv2",
    "mpegts": "mpeg2video",
}


def two_streams(container: str, codec: str, cover_first: bool = True, covers: int = 1) -> bytes:
    """A film of 2 s at 25 frames/s, and a stream of JPEG pictures marked as default."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:

        def add(name: str, side: int) -> VideoStream:
            stream = output.add_stream(name, rate=25)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height = side, 48
            stream.pix_fmt = "yuvj420p" if name == "mjpeg" else "yuv420p"
            return stream

        if cover_first:
            cover, film = add("mjpeg", 48), add(codec, 64)
        else:
            film, cover = add(codec, 64), add("mjpeg", 48)
        cover.disposition = Disposition.default
        film.disposition = Disposition(0)
        for number in range(covers):
            frame = av.VideoFrame.from_ndarray(picture("red", 48, 48), "rgb24")
            frame.pts = number
            output.mux(cover.encode(frame))
        output.mux(cover.encode())
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(picture("blue", 64, 48, number), "rgb24")
            frame.pts = number
            output.mux(film.encode(frame))
        output.mux(film.encode())
    return buffer.getvalue()


@pytest.mark.parametrize("covers", [1, 3])
@pytest.mark.parametrize("cover_first", [True, False])
@pytest.mark.parametrize("container", CONTAINERS)
def test_the_stream_that_moves_is_the_video(container: str, cover_first: bool, covers: int) -> None:
    data = two_streams(container, CONTAINERS[container], cover_first, covers)

    info = probe(io.BytesIO(data))

    assert (info.width, info.height) == (64, 48)
    assert info.duration_seconds == pytest.approx(2, abs=0.05)
    assert info.frames_per_second == pytest.approx(25, rel=0.01)
    batch = decode(io.BytesIO(data), [0.02, 1.02, 1.94], short_side=48)
    found = np.array([read_number(frame) for frame in batch.frames])
    assert found == pytest.approx([0, 25, 48], abs=1)


def test_the_file_decides_between_two_films() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        streams: list[Any] = []
        for side in (64, 80):
            stream = output.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = side, 48, "yuv420p"
            stream.disposition = Disposition.default if side == 80 else Disposition(0)
            streams.append(stream)
        for number in range(20):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(picture("red", stream.width, 48), "rgb24")
                frame.pts = number
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode())

    assert probe(io.BytesIO(buffer.getvalue())).width == 80


def test_a_cover_does_not_stand_for_a_film_whose_codec_is_not_allowed() -> None:
    data = two_streams("mov", "rawvideo")

    with pytest.raises(UnsupportedCodec, match="rawvideo"):
        probe(io.BytesIO(data))
